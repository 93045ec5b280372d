// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's text format: a line of key=value, a line of column names, the
 * rows, and TOTAL
 *
 * Later kernels may add keys and columns, and earlier ones have fewer, so both
 * are found by name.
 *
 * Everything else is refused, because whatever is left of a damaged file would
 * look like true counters.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/message.h"
#include "model/snapshot.h"
#include "source/kvmtext.h"

#define FORMAT_VERSION 1

struct stats_parser {
	struct parser text;
	struct exit_snapshot *snap;
	/* where the columns are */
	size_t nr_columns, reason, name, counts[NR_COUNTS];
	uint64_t total[NR_COUNTS];
};

int damaged(const char *path, unsigned int line, const char *fmt, ...)
{
	char what[160], where[32] = "";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (line)
		snprintf(where, sizeof(where), ", line %u", line);
	return fail(
		STATUS_ERROR,
		"%s%s: %s: this is not whole output of KVM's exit accounting, try again",
		path, where, what);
}

bool parse_u64(const char *text, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;

	if (!*text)
		return false;

	for (; *text; text++) {
		if (*text < '0' || *text > '9' ||
		    __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
			return false;
	}
	*value = v;
	return v <= max;
}

bool parse_word(const char *text, char *word)
{
	size_t i;

	for (i = 0; text[i]; i++) {
		if (i == EXIT_WORD_SIZE - 1 || !isalnum((unsigned char)text[i]))
			return false;
		word[i] = text[i];
	}
	word[i] = '\0';
	return i;
}

bool parse_name(const char *text, char *name)
{
	size_t i;

	/* Not a number, which would be the cell of another column. */
	if (!isalpha((unsigned char)*text))
		return false;

	for (i = 0; text[i]; i++) {
		if (i == EXIT_NAME_SIZE - 1 || text[i] <= ' ' || text[i] > '~')
			return false;
		name[i] = text[i];
	}
	name[i] = '\0';
	return true;
}

/* The versions of this format and of sysfs go together. */
int check_version(const char *path, uint64_t version)
{
	if (version <= FORMAT_VERSION)
		return STATUS_OK;

	return fail(
		STATUS_ERROR,
		"%s has format version %llu and this exitstat knows version %d: update exitstat",
		path, (unsigned long long)version, FORMAT_VERSION);
}

int parser_init(struct parser *parser, const char *path, char *text, size_t len)
{
	size_t i;

	*parser = (struct parser){ .path = path, .next = text };

	for (i = 0; i < len; i++) {
		parser->line += !i || text[i - 1] == '\n';
		if (text[i] != '\n' && (text[i] < ' ' || text[i] > '~'))
			return parser_damaged(parser, "byte 0x%02x",
					      (unsigned char)text[i]);
	}
	parser->line = 0;
	return STATUS_OK;
}

int parser_line(struct parser *parser)
{
	char *text = parser->next, *save = NULL, *word;

	parser->line++;
	if (!*text)
		return parser_damaged(parser, "the file ends early");

	parser->next = strchr(text, '\n');
	if (!parser->next)
		return parser_damaged(parser, "the line has no end");
	*parser->next++ = '\0';

	parser->nr_words = 0;
	for (word = strtok_r(text, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		if (parser->nr_words == MAX_WORDS)
			return parser_damaged(parser,
					      "the line has too many words");
		parser->words[parser->nr_words++] = word;
	}
	return STATUS_OK;
}

/* How often @key is there, with the last of its values. */
static size_t count_key(const struct parser *parser, const char *key,
			const char **value)
{
	size_t i, nr = 0, len = strlen(key);

	for (i = 1; i < parser->nr_words; i++) {
		const char *word = parser->words[i];

		if (strncmp(word, key, len) || word[len] != '=')
			continue;
		*value = word + len + 1;
		nr++;
	}
	return nr;
}

bool parser_has_key(const struct parser *parser, const char *key)
{
	const char *value;

	return count_key(parser, key, &value);
}

bool parser_key_u64(const struct parser *parser, const char *key, uint64_t max,
		    uint64_t *value)
{
	const char *text;

	return count_key(parser, key, &text) == 1 &&
	       parse_u64(text, max, value);
}

bool parser_key_word(const struct parser *parser, const char *key, char *word)
{
	const char *text;

	return count_key(parser, key, &text) == 1 && parse_word(text, word);
}

int parser_title(struct parser *parser, const char *title, const char *scope)
{
	char word[EXIT_WORD_SIZE];
	uint64_t version;
	int status = parser_line(parser);
	size_t i;

	if (status)
		return status;

	if (!parser->nr_words || strcmp(parser->words[0], title))
		return parser_damaged(parser, "it does not begin with %s",
				      title);

	if (!parser_key_u64(parser, "version", UINT64_MAX, &version) ||
	    !version)
		return parser_damaged(parser, "no valid version");
	status = check_version(parser->path, version);
	if (status)
		return status;

	for (i = 1; i < parser->nr_words; i++) {
		if (!strchr(parser->words[i], '=') || *parser->words[i] == '=')
			return parser_damaged(parser,
					      "a word is not key=value");
	}

	if (!parser_key_word(parser, "scope", word))
		return parser_damaged(parser, "no valid scope");
	if (strcmp(word, scope))
		return parser_damaged(parser, "the scope is not %s", scope);
	return STATUS_OK;
}

int parser_column(const struct parser *parser, const char *name, size_t *column,
		  bool *found)
{
	size_t i, nr_found = 0;

	for (i = 0; i < parser->nr_words; i++) {
		if (strcmp(parser->words[i], name))
			continue;
		if (nr_found++)
			return parser_damaged(parser, "two columns %s", name);
		*column = i;
	}
	if (found)
		*found = nr_found;
	else if (!nr_found)
		return parser_damaged(parser, "no column %s", name);
	return STATUS_OK;
}

int parser_reason(const struct parser *parser, const char *text, bool *none,
		  uint32_t *reason)
{
	uint64_t nr = 0;

	*none = !strcmp(text, "-");
	if (!*none && !parse_u64(text, UINT32_MAX, &nr))
		return parser_damaged(parser, "no valid reason");
	*reason = nr;
	return STATUS_OK;
}

static int parse_keys(struct stats_parser *parser, const char *scope)
{
	struct exit_snapshot *snap = parser->snap;
	struct parser *text = &parser->text;
	uint64_t tsc_khz, enabled;
	int status = parser_title(text, "exit_stats", scope);

	if (status)
		return status;

	if (!parser_key_word(text, "isa", snap->isa))
		return parser_damaged(text, "no valid isa");
	if (!parser_key_u64(text, "tsc_khz", UINT32_MAX, &tsc_khz))
		return parser_damaged(text, "no valid tsc_khz");
	if (!parser_key_u64(text, "enabled", 1, &enabled))
		return parser_damaged(text, "no valid enabled");
	if (!parser_key_u64(text, "failed_entries", UINT64_MAX,
			    &snap->failed_entries))
		return parser_damaged(text, "no valid failed_entries");
	if (!parser_key_u64(text, "clamped", UINT64_MAX, &snap->clamped))
		return parser_damaged(text, "no valid clamped");

	/* Earlier kernels do not have it. */
	snap->has_guest_cycles = parser_has_key(text, "guest_cycles");
	if (snap->has_guest_cycles &&
	    !parser_key_u64(text, "guest_cycles", UINT64_MAX,
			    &snap->guest_cycles))
		return parser_damaged(text, "no valid guest_cycles");

	strcpy(snap->scope, scope);
	snap->tsc_khz = tsc_khz;
	snap->enabled = enabled;
	snap->has_faults = true;
	return STATUS_OK;
}

static int parse_columns(struct stats_parser *parser)
{
	struct parser *text = &parser->text;
	bool *has = parser->snap->has;
	int status = parser_line(text);
	size_t c;

	if (!status)
		status = parser_column(text, "reason", &parser->reason, NULL);
	if (!status)
		status = parser_column(text, "name", &parser->name, NULL);

	has[COUNT_EXITS] = true;
	has[COUNT_HANDLE_CYCLES] = true;
	for (c = 0; !status && c < NR_COUNTS; c++)
		status = parser_column(text, exit_count_names[c],
				       &parser->counts[c],
				       has[c] ? NULL : &has[c]);
	parser->nr_columns = text->nr_words;
	return status;
}

static int parse_counts(struct stats_parser *parser, uint64_t *counts)
{
	const struct parser *text = &parser->text;
	size_t c;

	for (c = 0; c < NR_COUNTS; c++) {
		if (parser->snap->has[c] &&
		    !parse_u64(text->words[parser->counts[c]], UINT64_MAX,
			       &counts[c]))
			return parser_damaged(text, "no valid %s",
					      exit_count_names[c]);
	}
	return STATUS_OK;
}

/* Parse a row, and set *total if it is the last one. */
static int parse_row(struct stats_parser *parser, bool *total)
{
	struct parser *text = &parser->text;
	struct exit_row row = {}, *new;
	int status = parser_line(text);
	bool none;

	if (status)
		return status;

	if (text->nr_words != parser->nr_columns)
		return parser_damaged(text, "%zu cells for %zu columns",
				      text->nr_words, parser->nr_columns);
	if (!parse_name(text->words[parser->name], row.name))
		return parser_damaged(text, "no valid name");
	status = parse_counts(parser, row.counts);
	if (!status)
		status = parser_reason(text, text->words[parser->reason], &none,
				       &row.reason);
	if (status)
		return status;

	if (none && !strcmp(row.name, "TOTAL")) {
		*total = true;
		memcpy(parser->total, row.counts, sizeof(parser->total));
		return STATUS_OK;
	}
	if (none && strcmp(row.name, "OTHER"))
		return parser_damaged(text, "no reason");
	row.other = none;

	new = snapshot_add_row(parser->snap);
	if (!new)
		return out_of_memory();
	*new = row;
	return STATUS_OK;
}

int snapshot_parse(struct exit_snapshot *snap, const char *path,
		   const char *scope, char *text, size_t len)
{
	struct stats_parser parser = { .snap = snap };
	bool total = false;
	int status;
	size_t i;

	status = parser_init(&parser.text, path, text, len);
	if (!status)
		status = parse_keys(&parser, scope);
	if (!status)
		status = parse_columns(&parser);
	while (!status && !total)
		status = parse_row(&parser, &total);
	if (status)
		return status;

	if (*parser.text.next)
		return parser_damaged(&parser.text,
				      "TOTAL is not the last row");
	if (!snapshot_finish(snap))
		return parser_damaged(&parser.text,
				      "two rows have the same reason");
	/* Both are sums of unsigned 64-bit numbers that may have wrapped. */
	for (i = 0; i < NR_COUNTS; i++) {
		if (snap->total[i] != parser.total[i])
			return parser_damaged(
				&parser.text,
				"TOTAL's %s are not the sum of the rows",
				exit_count_names[i]);
	}
	return STATUS_OK;
}
