/* SPDX-License-Identifier: GPL-2.0 */
/* What the keys of an exit reason are, and their names. */
#ifndef DETAILS_KEYS_H
#define DETAILS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "details/rows.h"
#include "model/reasons.h"

#define DETAILS_TEXT_SIZE 96

/* The word for exits that go to userspace, whatever their reason. */
#define DETAILS_USERSPACE "userspace"

/* How the exits of a reason are told apart. */
struct details_of {
	uint32_t vmx, svm;
	/* which of these it has */
	bool has_vmx, has_svm;
	/* enum details_from */
	unsigned int from;
	/* the heading of a key: MSR, PORT */
	const char *key;
};

extern const struct details_of details_of_userspace;

/* Of a reason, or NULL if there is nothing to tell its exits apart. */
const struct details_of *details_of_reason(const struct reason_table *table,
					   uint32_t reason);
/* 0x6e0; into DETAILS_TEXT_SIZE bytes, as all here. */
void details_key_text(const struct details_of *of,
		      const struct details_key *key, char *text);
/* TSC_DEADLINE, or empty if it has no name. */
void details_key_name(const struct details_of *of,
		      const struct details_key *key, char *name);
/* read, write, or empty */
const char *details_kind_text(unsigned int kind);

#endif
