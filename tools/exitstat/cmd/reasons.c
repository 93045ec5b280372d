// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/json_write.h"
#include "base/message.h"
#include "cmd/options.h"
#include "model/explain.h"
#include "model/reasons.h"
#include "source/cpuid.h"
#include "view/csv.h"
#include "view/metrics.h"

enum {
	COLUMN_REASON,
	COLUMN_HEX,
	COLUMN_NAME,
	COLUMN_DEFINED,
	COLUMN_MEANING,
};

static const struct column columns[] = {
	{ COLUMN_REASON, "REASON", NULL, "exit number", false },
	{ COLUMN_HEX, "HEX", NULL, "the same, hexadecimal", false },
	{ COLUMN_NAME, "NAME", NULL, "its name in the kernel", true },
	{ COLUMN_DEFINED, "DEFINED", NULL,
	  "yes, no, or never (no CPU delivers it)", true },
	{ COLUMN_MEANING, "MEANING", NULL, "what happens, see explain", true },
};

struct line {
	uint32_t nr;
	char hex[16];
	char name[EXIT_NAME_SIZE];
	const char *defined;
	const char *meaning;
};

static void get_cell(const void *data, int id, struct cell *cell)
{
	const struct line *line = data;

	switch (id) {
	case COLUMN_REASON:
		cell->type = CELL_U64;
		cell->u64 = line->nr;
		return;
	case COLUMN_HEX:
		cell->text = line->hex;
		break;
	case COLUMN_NAME:
		cell->text = line->name;
		break;
	case COLUMN_DEFINED:
		cell->text = line->defined;
		break;
	case COLUMN_MEANING:
		cell->text = line->meaning;
		break;
	}
	if (*cell->text)
		cell->type = CELL_TEXT;
}

static const struct table table = {
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.get = get_cell,
};

static const struct command_usage usage = {
	.name = "reasons",
	.operands = "",
	.text = "List every exit number up to the last one that the architecture defines, and\n"
		"the name that the kernel has for it.  Without --isa, those of this CPU.",
	.options = TAKES_ISA | TAKES_REASON | TAKES_FORMAT | TAKES_TABLE |
		   TAKES_LONG,
	.table = &table,
};

static void set_line(struct line *line, const struct reason_table *reasons,
		     uint32_t nr, enum reason_state state)
{
	static const char *const states[] = {
		[REASON_UNDEFINED] = "no",
		[REASON_UNSEEN] = "never",
		[REASON_DEFINED] = "yes",
	};

	const struct explanation *explanation = explanation_of(reasons, nr);

	*line = (struct line){
		.nr = nr,
		.defined = states[state],
		.meaning = explanation ? explanation->what : "",
	};
	snprintf(line->hex, sizeof(line->hex), "0x%" PRIx32, nr);
	if (reason_name(reasons, nr))
		reason_label(line->name, reasons, nr);
}

/* Is it what the user asked for, by snapshot_filter()'s rules? */
static bool is_wanted(const struct line *line, const struct arguments *args)
{
	size_t i;

	for (i = 0; i < args->nr_reasons; i++) {
		if (reason_matches(line->nr, line->name, args->reasons[i]))
			return true;
	}
	return !args->nr_reasons;
}

/* Lines for all numbers; they are few. */
static struct line *make_lines(const struct reason_table *reasons,
			       const struct arguments *args, size_t *nr_lines)
{
	struct line *lines;
	size_t i, nr = 0;
	uint32_t number;

	for (i = 0; i < reasons->nr_ranges; i++)
		nr += reasons->ranges[i].last - reasons->ranges[i].first + 1;
	lines = calloc(nr, sizeof(*lines));

	*nr_lines = 0;
	for (i = 0; lines && i < reasons->nr_ranges; i++) {
		const struct reason_range *range = &reasons->ranges[i];

		number = range->first;
		do {
			set_line(&lines[*nr_lines], reasons, number,
				 range->state);
			*nr_lines += is_wanted(&lines[*nr_lines], args);
		} while (number++ != range->last);
	}
	return lines;
}

static void print_json(FILE *out, const char *isa, const struct line *lines,
		       size_t nr)
{
	struct json json;
	size_t i;

	json_begin(&json, out, JSON_PRETTY);
	json_put_object(&json, NULL);
	json_put_string(&json, "schema", "exitstat.reasons");
	json_put_u64(&json, "version", 1);
	json_put_string(&json, "isa", isa);
	json_put_array(&json, "reasons");
	for (i = 0; i < nr; i++) {
		json_put_object(&json, NULL);
		json_put_u64(&json, "reason", lines[i].nr);
		if (*lines[i].name)
			json_put_string(&json, "name", lines[i].name);
		else
			json_put_null(&json, "name");
		json_put_string(&json, "defined", lines[i].defined);
		json_end(&json);
	}
	json_end(&json);
	json_end(&json);
	fputc('\n', out);
}

static void print_metrics(FILE *out, const char *isa, const struct line *lines,
			  size_t nr)
{
	const char *name = "exitstat_reason_defined";
	size_t i;

	metrics_print_family(out, name, "gauge",
			     "1 if the architecture defines this exit number");
	for (i = 0; i < nr; i++) {
		struct exit_row row = { .reason = lines[i].nr };

		strcpy(row.name, lines[i].name);
		fprintf(out, "%s{", name);
		metrics_print_label(out, "isa", isa, true);
		metrics_print_reason(out, &row);
		fprintf(out, "} %d\n", strcmp(lines[i].defined, "no") != 0);
	}
	metrics_print_end(out);
}

static bool print_lines(const struct arguments *args, const char *isa,
			struct line *lines, size_t nr)
{
	static const int short_ids[] = { COLUMN_REASON, COLUMN_HEX, COLUMN_NAME,
					 COLUMN_DEFINED, -1 };
	static const int long_ids[] = { COLUMN_REASON,	COLUMN_HEX,
					COLUMN_NAME,	COLUMN_DEFINED,
					COLUMN_MEANING, -1 };
	const int *ids = args->all_columns ? long_ids : short_ids;
	struct layout layout;

	table_sort(&table, args->format.sort, lines, nr, sizeof(*lines));
	layout_init(&layout, &table, ids, args->format.columns, false);

	switch (args->format.kind) {
	case FORMAT_JSON:
		print_json(stdout, isa, lines, nr);
		return true;
	case FORMAT_OPENMETRICS:
		print_metrics(stdout, isa, lines, nr);
		return true;
	case FORMAT_CSV:
		csv_print_head(stdout, &layout);
		csv_print_lines(stdout, &layout, lines, nr, sizeof(*lines));
		return true;
	case FORMAT_TABLE:
		break;
	}
	return table_print(stdout, &layout, lines, nr, sizeof(*lines));
}

int cmd_reasons(int argc, char **argv)
{
	const struct reason_table *reasons;
	struct arguments args;
	struct line *lines;
	int status;
	size_t nr;

	if (parse_options(argc, argv, &usage, &args, &status)) {
		reasons = reasons_of(args.isa ? args.isa : cpuid_isa());
		lines = make_lines(reasons, &args, &nr);
		if (!lines || !print_lines(&args, reasons->isa, lines, nr))
			status = out_of_memory();
		free(lines);
	}
	arguments_free(&args);
	return status;
}
