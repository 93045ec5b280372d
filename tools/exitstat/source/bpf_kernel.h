/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's types of which more than one BPF program needs something. */
#ifndef SOURCE_BPF_KERNEL_H
#define SOURCE_BPF_KERNEL_H

/* Only what is used of a type is declared; libbpf finds where it is. */
#define KERNEL __attribute__((preserve_access_index))

struct qstr {
	const unsigned char *name;
} KERNEL;

struct dentry {
	struct qstr d_name;
} KERNEL;

#endif
