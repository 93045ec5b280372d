/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXITS_BPF_H
#define EXITS_BPF_H

#include <linux/types.h>

/* VMX's basic exit reasons. */
#define EXIT_REASONS 128

struct exit_sum {
	__u64 exits;
	__u64 ns;
};

#endif
