// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "base/message.h"
#include "base/parse.h"
#include "source/kvmlatency.h"
#include "source/kvmtext.h"

enum latency_column {
	COLUMN_REASON,
	COLUMN_NAME,
	COLUMN_TIME,
	COLUMN_EXITS,
	COLUMN_MAX,
	COLUMN_FROM,
	COLUMN_BELOW,
	NR_COLUMNS,
};

static const char *const column_names[NR_COLUMNS] = {
	[COLUMN_REASON] = "reason",	 [COLUMN_NAME] = "name",
	[COLUMN_TIME] = "time",		 [COLUMN_EXITS] = "exits",
	[COLUMN_MAX] = "max_cycles",	 [COLUMN_FROM] = "from_cycles",
	[COLUMN_BELOW] = "below_cycles",
};

/* The cells of a row, by columns. */
static int parse_cells(const struct parser *parser, char *const *cells,
		       struct latency_row *row)
{
	bool last = !strcmp(cells[COLUMN_BELOW], "-");
	int status = parser_reason(parser, cells[COLUMN_REASON], &row->other,
				   &row->reason);

	if (status)
		return status;

	row->below = UINT64_MAX;
	if (!parse_name(cells[COLUMN_NAME], row->name, sizeof(row->name)))
		return parser_damaged(parser, "no valid name");
	if (row->other && strcmp(row->name, "OTHER"))
		return parser_damaged(parser, "no reason");
	if (!parse_u64(cells[COLUMN_EXITS], UINT64_MAX, &row->exits))
		return parser_damaged(parser, "no valid exits");
	if (!parse_u64(cells[COLUMN_MAX], UINT64_MAX, &row->max))
		return parser_damaged(parser, "no valid max_cycles");
	if (!parse_u64(cells[COLUMN_FROM], UINT64_MAX, &row->from))
		return parser_damaged(parser, "no valid from_cycles");
	if (!last &&
	    (!parse_u64(cells[COLUMN_BELOW], UINT64_MAX - 1, &row->below) ||
	     row->below <= row->from))
		return parser_damaged(parser, "no valid below_cycles");
	return STATUS_OK;
}

static int parse_row(struct parser *parser, const size_t *columns,
		     size_t nr_columns, struct exit_latency *latency)
{
	struct latency_row row = {}, *new;
	char *cells[NR_COLUMNS];
	int status = parser_line(parser);
	size_t i;

	if (status)
		return status;

	if (parser->nr_words != nr_columns)
		return parser_damaged(parser, "%zu cells for %zu columns",
				      parser->nr_words, nr_columns);
	for (i = 0; i < NR_COLUMNS; i++)
		cells[i] = parser->words[columns[i]];

	/* A time that a later kernel may add. */
	if (!latency_parse_time(cells[COLUMN_TIME], &row.time))
		return STATUS_OK;

	status = parse_cells(parser, cells, &row);
	if (status)
		return status;

	new = latency_add_row(latency);
	if (!new)
		return out_of_memory();
	*new = row;
	return STATUS_OK;
}

int kvmlatency_parse(struct exit_latency *latency, const char *path,
		     const char *scope, char *text, size_t len)
{
	size_t columns[NR_COLUMNS], nr_columns, i;
	struct parser parser;
	int status;

	status = parser_init(&parser, path, text, len);
	if (!status)
		status = parser_title(&parser, "exit_latency", scope);
	if (!status)
		status = parser_line(&parser);
	for (i = 0; !status && i < NR_COLUMNS; i++)
		status = parser_column(&parser, column_names[i], &columns[i],
				       NULL);
	nr_columns = parser.nr_words;
	while (!status && *parser.next)
		status = parse_row(&parser, columns, nr_columns, latency);
	if (status)
		return status;

	if (!latency_finish(latency))
		return parser_damaged(&parser, "two rows have the same bucket");
	return STATUS_OK;
}
