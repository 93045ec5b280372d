/* SPDX-License-Identifier: GPL-2.0 */
/* What keys do. */
#ifndef TOP_KEYS_H
#define TOP_KEYS_H

#include "top/state.h"

/* All keys that were pressed. */
void top_read_keys(struct top *top);
struct key_help {
	const char *keys;
	const char *help;
};

extern const struct key_help top_key_help[];
/* lines of at most 80 columns */
extern const char *const top_help_text[];

#endif
