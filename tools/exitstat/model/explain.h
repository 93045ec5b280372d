/* SPDX-License-Identifier: GPL-2.0 */
/* What exit reasons mean, and what operators do about them. */
#ifndef MODEL_EXPLAIN_H
#define MODEL_EXPLAIN_H

#include <stddef.h>
#include <stdint.h>

#include "model/reasons.h"

/* From a number on, so many; none is the end of a list. */
struct reason_group {
	uint32_t first;
	uint32_t nr;
};

#define MAX_GROUPS 12

struct explanation {
	struct reason_group vmx[MAX_GROUPS], svm[MAX_GROUPS];
	/* what happens, in a sentence */
	const char *what;
	/* in practice */
	const char *causes;
	/* when to leave it alone */
	const char *normal;
	/* how to see which one of these it is */
	const char *which;
	/* what operators do, or NULL */
	const char *then;
	/* names of explain_sources, with blanks between */
	const char *sources;
};

struct explain_source {
	/* as explanations name it */
	const char *key;
	/* where to read it: a path in the kernel's tree, or a manual's chapter */
	const char *text;
};

/* Of all ISAs; the last ones have no text. */
extern const struct explanation explanations[];
extern const struct explain_source explain_sources[];

/* What is known of a reason, or NULL. */
const struct explanation *explanation_of(const struct reason_table *table,
					 uint32_t nr);
/* The source that @key begins with, which ends at a blank; or NULL. */
const struct explain_source *explain_source_of(const char *key);

#endif
