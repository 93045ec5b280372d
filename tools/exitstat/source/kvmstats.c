// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "base/message.h"
#include "base/parse.h"
#include "source/kvmstats.h"
#include "source/kvmtext.h"

struct stats_parser {
	struct parser text;
	struct exit_snapshot *snap;
	/* where the columns are */
	size_t nr_columns, reason, name, counts[NR_COUNTS];
	uint64_t total[NR_COUNTS];
};

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

	snap->clock.tsc_khz = tsc_khz;
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
	if (!parse_name(text->words[parser->name], row.name, sizeof(row.name)))
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

int kvmstats_parse(struct exit_snapshot *snap, const char *path,
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
