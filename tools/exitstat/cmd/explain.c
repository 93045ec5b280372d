// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/array.h"
#include "base/json_write.h"
#include "base/message.h"
#include "base/text.h"
#include "cmd/options.h"
#include "model/explain.h"
#include "source/cpuid.h"

#define USUAL_WIDTH 80
#define INDENT 12

static const struct command_usage usage = {
	.name = "explain",
	.operands = "REASON",
	.text = "Explain an exit reason: what it is, what causes it in practice, when it is\n"
		"normal, how to see which of these it is, and what operators do.  REASON is\n"
		"a name, a number, or a pattern of names.  Without --isa, of this CPU, or\n"
		"where that has none, of others.",
	.options = TAKES_ISA | TAKES_JSON,
	.nr_files = 1,
};

/* What there is to say of a reason, by what name. */
static const struct {
	const char *title, *key;
	size_t offset;
} parts[] = {
	{ "What", "what", offsetof(struct explanation, what) },
	{ "Causes", "causes", offsetof(struct explanation, causes) },
	{ "Normal", "normal", offsetof(struct explanation, normal) },
	{ "Which one", "which", offsetof(struct explanation, which) },
	{ "Then", "then", offsetof(struct explanation, then) },
};

static const char *part_of(const struct explanation *explanation, size_t part)
{
	return *(const char *const *)((const char *)explanation +
				      parts[part].offset);
}

/* The numbers of a table that @pattern means, each once. */
struct numbers {
	const struct reason_table *table;
	uint32_t *nrs;
	size_t nr;
};

static bool find_numbers(struct numbers *numbers,
			 const struct reason_table *table, const char *pattern)
{
	char label[EXIT_NAME_SIZE];
	size_t i, max = 0;
	uint32_t nr;

	for (i = 0; i < table->nr_ranges; i++)
		max += table->ranges[i].last - table->ranges[i].first + 1;
	*numbers = (struct numbers){ .table = table };
	numbers->nrs = calloc(max + table->nr_reasons, sizeof(nr));
	if (!numbers->nrs)
		return false;
	for (i = 0; i < table->nr_reasons; i++) {
		nr = table->reasons[i].nr;
		reason_label(label, table, nr);
		if (reason_matches(nr, label, pattern))
			numbers->nrs[numbers->nr++] = nr;
	}
	/* Those without a name are known by their number. */
	for (i = 0; i < table->nr_ranges && !strpbrk(pattern, "*?["); i++) {
		for (nr = table->ranges[i].first;; nr++) {
			reason_label(label, table, nr);
			if (!reason_name(table, nr) &&
			    explanation_of(table, nr) &&
			    reason_matches(nr, label, pattern))
				numbers->nrs[numbers->nr++] = nr;
			if (nr == table->ranges[i].last)
				break;
		}
	}
	return true;
}

static size_t screen_width(void)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) &&
	    size.ws_col > 2 * INDENT)
		return size.ws_col;
	return USUAL_WIDTH;
}

/* In lines that begin below each other. */
static void print_part(const char *title, const char *text)
{
	const int width = screen_width() - INDENT - 1;
	size_t len;

	printf("  %-*s", INDENT - 2, title);
	while (*text) {
		len = text_wrap(text, width);
		printf("%.*s\n", (int)len, text);
		text += len;
		text += *text == ' ';
		if (*text)
			printf("%*s", INDENT, "");
	}
}

static void print_sources(const char *keys)
{
	const struct explain_source *source;
	const char *title = "Sources";

	for (; *keys; keys += strcspn(keys, " "), keys += *keys == ' ') {
		source = explain_source_of(keys);
		print_part(title, source ? source->text : keys);
		title = "";
	}
}

static void print_names(const struct numbers *numbers, size_t from,
			const struct explanation *explanation)
{
	char label[EXIT_NAME_SIZE];
	size_t i;

	for (i = from; i < numbers->nr; i++) {
		const uint32_t nr = numbers->nrs[i];

		if (explanation_of(numbers->table, nr) != explanation)
			continue;
		reason_label(label, numbers->table, nr);
		printf("%s: exit number %" PRIu32 " (0x%" PRIx32 ") of %s\n",
		       label, nr, nr, numbers->table->isa);
	}
}

/* Those that mean the same are explained once. */
static void print_text(const struct numbers *numbers, bool *begun)
{
	const struct explanation *explanation;
	size_t i, j, p;

	for (i = 0; i < numbers->nr; i++) {
		explanation = explanation_of(numbers->table, numbers->nrs[i]);
		for (j = 0; j < i; j++) {
			if (explanation_of(numbers->table, numbers->nrs[j]) ==
			    explanation)
				break;
		}
		if (j < i || !explanation)
			continue;
		if (*begun)
			putchar('\n');
		*begun = true;
		print_names(numbers, i, explanation);
		for (p = 0; p < ARRAY_SIZE(parts); p++) {
			if (part_of(explanation, p))
				print_part(parts[p].title,
					   part_of(explanation, p));
		}
		print_sources(explanation->sources);
	}
}

static void put_sources(struct json *json, const char *keys)
{
	const struct explain_source *source;

	json_put_array(json, "sources");
	for (; *keys; keys += strcspn(keys, " "), keys += *keys == ' ') {
		source = explain_source_of(keys);
		if (source)
			json_put_string(json, NULL, source->text);
	}
	json_end(json);
}

static void put_json(struct json *json, const struct numbers *numbers)
{
	const struct explanation *explanation;
	char label[EXIT_NAME_SIZE];
	size_t i, p;

	for (i = 0; i < numbers->nr; i++) {
		explanation = explanation_of(numbers->table, numbers->nrs[i]);
		if (!explanation)
			continue;
		reason_label(label, numbers->table, numbers->nrs[i]);
		json_put_object(json, NULL);
		json_put_string(json, "isa", numbers->table->isa);
		json_put_u64(json, "reason", numbers->nrs[i]);
		json_put_string(json, "name", label);
		for (p = 0; p < ARRAY_SIZE(parts); p++) {
			if (part_of(explanation, p))
				json_put_string(json, parts[p].key,
						part_of(explanation, p));
		}
		put_sources(json, explanation->sources);
		json_end(json);
	}
}

static void print(const struct numbers *all, size_t nr, bool as_json)
{
	struct json json;
	bool begun = false;
	size_t i;

	if (!as_json) {
		for (i = 0; i < nr; i++)
			print_text(&all[i], &begun);
		return;
	}
	json_begin(&json, stdout, JSON_PRETTY);
	json_put_object(&json, NULL);
	json_put_string(&json, "schema", "exitstat.explain");
	json_put_u64(&json, "version", 1);
	json_put_array(&json, "reasons");
	for (i = 0; i < nr; i++)
		put_json(&json, &all[i]);
	json_end(&json);
	json_end(&json);
	putchar('\n');
}

static int explain(const struct arguments *args)
{
	const char *pattern = args->files[0];
	const struct reason_table *own =
		reasons_of(args->isa ? args->isa : cpuid_isa());
	struct numbers all[8] = {};
	size_t t, nr = 0, found;
	int status = STATUS_OK;

	if (!find_numbers(&all[nr++], own, pattern))
		status = out_of_memory();
	found = all[0].nr;
	for (t = 0; !status && !found && !args->isa && reason_tables[t]; t++) {
		if (reason_tables[t] == own || nr == ARRAY_SIZE(all))
			continue;
		if (!find_numbers(&all[nr++], reason_tables[t], pattern))
			status = out_of_memory();
	}
	for (t = 0; t < nr; t++)
		found += all[t].nr;
	if (!status && !found)
		status = fail(
			STATUS_ERROR,
			"there is no exit reason %s: 'exitstat reasons' has all",
			pattern);
	if (!status)
		print(all, nr, args->format.kind == FORMAT_JSON);
	for (t = 0; t < nr; t++)
		free(all[t].nrs);
	return status;
}

int cmd_explain(int argc, char **argv)
{
	struct arguments args;
	int status;

	if (parse_options(argc, argv, &usage, &args, &status))
		status = explain(&args);
	arguments_free(&args);
	return status;
}
