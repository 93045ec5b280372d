// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "model/reasons.h"
#include "model/reasons_x86.h"
#include "model/snapshot.h"

const struct reason_table *const reason_tables[] = {
	&vmx_reasons,
	&svm_reasons,
	NULL,
};

const struct reason_table *reasons_of(const char *isa)
{
	const struct reason_table *const *table;

	for (table = reason_tables; *table; table++) {
		if (!strcmp((*table)->isa, isa))
			break;
	}
	return *table;
}

const char *reason_name(const struct reason_table *table, uint32_t nr)
{
	size_t i;

	for (i = 0; table && i < table->nr_reasons; i++) {
		if (table->reasons[i].nr == nr)
			return table->reasons[i].name;
	}
	return NULL;
}

void reason_label(char *label, const struct reason_table *table, uint32_t nr)
{
	const char *name = reason_name(table, nr);

	if (!name) {
		snprintf(label, EXIT_NAME_SIZE, "UNKNOWN_%u", nr);
		return;
	}
	snprintf(label, EXIT_NAME_SIZE, "%s", name);
	for (; *label; label++) {
		if (*label == ' ')
			*label = '_';
	}
}

bool reason_matches(uint32_t nr, const char *name, const char *pattern)
{
	uint64_t value;
	char *end;

	if (parse_u64(pattern, UINT32_MAX, &value))
		return nr == value;
	/* As manuals and 'exitstat reasons' have SVM's. */
	if (!strncasecmp(pattern, "0x", 2) && isxdigit(pattern[2])) {
		value = strtoull(pattern, &end, 16);
		return !*end && nr == value;
	}
	return !fnmatch(pattern, name, FNM_CASEFOLD);
}
