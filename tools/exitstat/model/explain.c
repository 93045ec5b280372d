// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "model/explain.h"
#include "model/reasons_x86.h"

static bool has(const struct reason_group *groups, uint32_t nr)
{
	size_t i;

	for (i = 0; i < MAX_GROUPS && groups[i].nr; i++) {
		if (nr - groups[i].first < groups[i].nr)
			return true;
	}
	return false;
}

const struct explanation *explanation_of(const struct reason_table *table,
					 uint32_t nr)
{
	const struct explanation *e;

	for (e = explanations; e->what; e++) {
		if (has(table == &svm_reasons ? e->svm : e->vmx, nr))
			return e;
	}
	return NULL;
}

const struct explain_source *explain_source_of(const char *key)
{
	const size_t len = strcspn(key, " ");
	const struct explain_source *source;

	for (source = explain_sources; source->key; source++) {
		if (strlen(source->key) == len &&
		    !strncmp(source->key, key, len))
			return source;
	}
	return NULL;
}
