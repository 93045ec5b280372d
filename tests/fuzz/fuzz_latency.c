// SPDX-License-Identifier: GPL-2.0
/* exit_latency: two texts, as they stand in a file one after the other. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "common.h"
#include "source/kvmlatency.h"

static const char *const scopes[] = { "host", "vm", "vcpu" };

static const char *scope_of(const char *text)
{
	size_t i;
	char word[32];

	for (i = 0; i < ARRAY_SIZE(scopes); i++) {
		snprintf(word, sizeof(word), " scope=%s ", scopes[i]);
		if (strstr(text, word))
			return scopes[i];
	}
	return "host";
}

static void check_latency(const struct exit_latency *latency)
{
	size_t i;

	for (i = 0; i < latency->nr_rows; i++) {
		const struct latency_row *row = &latency->rows[i];

		check(!i || latency_row_cmp(row - 1, row) < 0);
		check(row->time < NR_LATENCY_TIMES);
		check(row->from < row->below);
		check(*row->name && strlen(row->name) < EXIT_NAME_SIZE);
		check(!row->other ||
		      (!row->reason && !strcmp(row->name, "OTHER")));
	}
}

static struct exit_latency copy_of(const struct exit_latency *latency)
{
	struct exit_latency copy = *latency;

	copy.rows = malloc(latency->nr_rows * sizeof(*copy.rows) + 1);
	check(copy.rows);
	if (latency->nr_rows)
		memcpy(copy.rows, latency->rows,
		       latency->nr_rows * sizeof(*copy.rows));
	return copy;
}

static bool is_equal(const struct exit_latency *a, const struct exit_latency *b)
{
	return a->nr_rows == b->nr_rows &&
	       (!a->nr_rows ||
		!memcmp(a->rows, b->rows, a->nr_rows * sizeof(*a->rows)));
}

static void check_again(const struct exit_latency *latency)
{
	struct exit_latency again = {};
	char *text;
	size_t len, i;
	FILE *out = open_memstream(&text, &len);

	check(out);
	fputs("exit_latency version=1 isa=vmx tsc_khz=1 scope=vm enabled=1\n"
	      "reason name time exits max_cycles from_cycles below_cycles\n",
	      out);
	for (i = 0; i < latency->nr_rows; i++) {
		const struct latency_row *row = &latency->rows[i];

		if (row->other)
			fputc('-', out);
		else
			fprintf(out, "%u", row->reason);
		fprintf(out, " %s %s %" PRIu64 " %" PRIu64 " %" PRIu64,
			row->name, latency_time_names[row->time], row->exits,
			row->max, row->from);
		if (row->below == UINT64_MAX)
			fputs(" -\n", out);
		else
			fprintf(out, " %" PRIu64 "\n", row->below);
	}
	check(!fclose(out));

	check(!kvmlatency_parse(&again, "-", "vm", text, len));
	check(again.nr_rows == latency->nr_rows);
	for (i = 0; i < latency->nr_rows; i++)
		check(!latency_row_cmp(&again.rows[i], &latency->rows[i]) &&
		      again.rows[i].exits == latency->rows[i].exits &&
		      again.rows[i].below == latency->rows[i].below);
	latency_free(&again);
	free(text);
}

static void check_difference(const struct exit_latency *now,
			     const struct exit_latency *before)
{
	struct exit_latency difference = copy_of(now);
	uint64_t sums[2] = {};
	size_t i;

	if (latency_subtract(&difference, before)) {
		for (i = 0; i < now->nr_rows; i++)
			sums[0] += now->rows[i].exits;
		for (i = 0; i < before->nr_rows; i++)
			sums[0] -= before->rows[i].exits;
		for (i = 0; i < difference.nr_rows; i++) {
			check(difference.rows[i].exits);
			sums[1] += difference.rows[i].exits;
		}
		check(sums[0] == sums[1]);
	} else {
		check(is_equal(&difference, now));
	}
	check_latency(&difference);
	latency_free(&difference);

	difference = copy_of(now);
	check(latency_subtract(&difference, now) && !difference.nr_rows);
	latency_free(&difference);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct exit_latency latencies[2] = {};
	const char *scope = NULL;
	unsigned int nr = 0;
	size_t len;
	char *text;

	while (nr < 2 && (text = next_text(&data, &size, &len))) {
		scope = scope ? scope : scope_of(text);
		nr_messages = 0;
		if (kvmlatency_parse(&latencies[nr], "-", scope, text, len)) {
			check(nr_messages == 1);
			free(text);
			break;
		}
		check(!nr_messages);
		check_latency(&latencies[nr]);
		check_again(&latencies[nr]);
		free(text);
		nr++;
	}
	if (nr == 2)
		check_difference(&latencies[1], &latencies[0]);

	latency_free(&latencies[0]);
	latency_free(&latencies[1]);
	return 0;
}
