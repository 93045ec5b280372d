/* SPDX-License-Identifier: GPL-2.0 */
/* What can be known of this host without changing anything. */
#ifndef DOCTOR_FACTS_H
#define DOCTOR_FACTS_H

#include <stdbool.h>
#include <stddef.h>

#include "source/source.h"

#define FACT_VALUE_SIZE 128
#define FACT_TEXT_SIZE 256
#define MAX_FACTS 80

/* All is printable, whatever the kernel's files hold. */
struct fact {
	/* words of letters, digits and underscores that stay the same */
	const char *group;
	char name[48];
	/* for programs, never empty; and what it means, or empty */
	char value[FACT_VALUE_SIZE];
	char text[FACT_TEXT_SIZE];
};

struct fact_list {
	struct fact facts[MAX_FACTS];
	size_t nr;
	/* Some source counts, or could begin to; if none, why, and the status. */
	bool can_count;
	int status;
	char why[FACT_TEXT_SIZE];
	/* The first source that has counted already, or NULL. */
	const char *counted_by;
};

/* Try all sources and read the rest.  What cannot be read is left out. */
void facts_read(struct fact_list *list, const struct source_setup *setup);

#endif
