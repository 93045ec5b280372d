// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/json_write.h"
#include "doctor/print.h"
#include "view/table.h"

enum {
	COLUMN_EXIT,
	COLUMN_COUNTED,
	COLUMN_CYCLES,
	COLUMN_NS,
	COLUMN_ADDED_CYCLES,
	COLUMN_ADDED_NS,
};

static const struct column columns[] = {
	{ COLUMN_EXIT, "EXIT", NULL, "", true },
	{ COLUMN_COUNTED, "COUNTED", NULL, "", true },
	{ COLUMN_CYCLES, "CYCLES", NULL, "", false },
	{ COLUMN_NS, "NS", NULL, "", false },
	{ COLUMN_ADDED_CYCLES, "ADDED_CYCLES", NULL, "", false },
	{ COLUMN_ADDED_NS, "ADDED_NS", NULL, "", false },
};

/* What a kind of exit takes while it is counted so. */
struct line {
	const char *exit;
	const char *counted;
	double cycles;
	double ns;
	bool is_base;
	double added_cycles;
	double added_ns;
};

static void set_line(struct line *line, const struct fact_list *list,
		     const struct measured *measured, int exit, int level)
{
	const double *cycles = measured->cycles[exit];

	*line = (struct line){
		.exit = measured_names[exit],
		.counted = level	    ? level_names[level] :
			   list->counted_by ? list->counted_by :
					      "no",
		.cycles = cycles[level],
		.ns = cycles[level] / measured->ghz,
		.is_base = !level,
		.added_cycles = cycles[level] - cycles[0],
		.added_ns = (cycles[level] - cycles[0]) / measured->ghz,
	};
}

static void put_real(struct cell *cell, double value)
{
	cell->type = CELL_REAL;
	cell->real = value;
}

static void get_cell(const void *data, int id, struct cell *cell)
{
	const struct line *line = data;

	switch (id) {
	case COLUMN_EXIT:
	case COLUMN_COUNTED:
		cell->type = CELL_TEXT;
		cell->text = id == COLUMN_EXIT ? line->exit : line->counted;
		break;
	case COLUMN_CYCLES:
		put_real(cell, line->cycles);
		break;
	case COLUMN_NS:
		put_real(cell, line->ns);
		break;
	case COLUMN_ADDED_CYCLES:
		if (!line->is_base)
			put_real(cell, line->added_cycles);
		break;
	case COLUMN_ADDED_NS:
		if (!line->is_base)
			put_real(cell, line->added_ns);
		break;
	}
}

static const struct table table = {
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.get = get_cell,
};

static int nr_levels(const struct measured *measured)
{
	return measured->levels ? NR_LEVELS : 1;
}

static bool print_measured(const struct fact_list *list,
			   const struct measured *measured)
{
	static const int ids[] = {
		COLUMN_EXIT, COLUMN_COUNTED,	  COLUMN_CYCLES,
		COLUMN_NS,   COLUMN_ADDED_CYCLES, COLUMN_ADDED_NS,
		-1
	};
	struct line lines[NR_MEASURED * NR_LEVELS];
	struct layout layout;
	int exit, level;
	size_t nr = 0;

	for (exit = 0; exit < NR_MEASURED; exit++) {
		for (level = 0; level < nr_levels(measured); level++)
			set_line(&lines[nr++], list, measured, exit, level);
	}
	layout_init(&layout, &table, ids, NULL, false);
	printf("\nA round trip, by a TSC of %.3f MHz\n", measured->ghz * 1e3);
	return table_print(stdout, &layout, lines, nr, sizeof(*lines));
}

/* By its name in facts.c. */
static const char *heading_of(const char *group)
{
	static const struct {
		const char *group;
		const char *heading;
	} headings[] = {
		{ "sources", "What can count exits" },
		{ "kernel", "Kernel and user" },
		{ "kvm", "KVM's modules" },
		{ "parameters", "How VMs are run" },
		{ "mitigations", "Mitigations, some of which work at exits" },
		{ "machine", "Machine" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(headings); i++) {
		if (!strcmp(headings[i].group, group))
			return headings[i].heading;
	}
	return group;
}

bool doctor_print(const struct fact_list *list, const struct measured *measured)
{
	const char *group = NULL;
	size_t i;

	for (i = 0; i < list->nr; i++) {
		const struct fact *fact = &list->facts[i];

		if (fact->group != group) {
			printf("%s%s\n", group ? "\n" : "",
			       heading_of(fact->group));
			group = fact->group;
		}
		printf("  %-22s %s%s%s\n", fact->name, fact->value,
		       *fact->text ? ": " : "", fact->text);
	}
	return !measured || print_measured(list, measured);
}

void doctor_print_json(const struct fact_list *list,
		       const struct measured *measured)
{
	struct json json;
	int exit, level;
	size_t i;

	json_begin(&json, stdout, JSON_PRETTY);
	json_put_object(&json, NULL);
	json_put_string(&json, "schema", "exitstat.doctor");
	json_put_u64(&json, "version", 1);
	json_put_bool(&json, "can_count", list->can_count);
	json_put_array(&json, "facts");
	for (i = 0; i < list->nr; i++) {
		json_put_object(&json, NULL);
		json_put_string(&json, "group", list->facts[i].group);
		json_put_string(&json, "name", list->facts[i].name);
		json_put_string(&json, "value", list->facts[i].value);
		json_put_string(&json, "text", list->facts[i].text);
		json_end(&json);
	}
	json_end(&json);
	if (!measured) {
		json_put_null(&json, "measured");
	} else {
		json_put_object(&json, "measured");
		json_put_u64(&json, "tsc_khz", measured->ghz * 1e6);
		json_put_array(&json, "costs");
		for (exit = 0; exit < NR_MEASURED; exit++) {
			for (level = 0; level < nr_levels(measured); level++) {
				struct line line;

				set_line(&line, list, measured, exit, level);
				json_put_object(&json, NULL);
				json_put_string(&json, "exit", line.exit);
				json_put_string(&json, "counted", line.counted);
				json_put_real(&json, "cycles", line.cycles, 1);
				json_put_real(&json, "ns", line.ns, 1);
				if (level) {
					json_put_real(&json, "added_cycles",
						      line.added_cycles, 1);
					json_put_real(&json, "added_ns",
						      line.added_ns, 1);
				} else {
					json_put_null(&json, "added_cycles");
					json_put_null(&json, "added_ns");
				}
				json_end(&json);
			}
		}
		json_end(&json);
		json_end(&json);
	}
	json_end(&json);
	fputc('\n', stdout);
}
