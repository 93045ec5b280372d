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

union vmx_exit_reason {
	unsigned int full;
} KERNEL;

struct vcpu_vmx {
	union vmx_exit_reason exit_reason;
} KERNEL;

/* From 7.3 on. */
struct vcpu_vt___vt {
	union vmx_exit_reason exit_reason;
} KERNEL;

struct vcpu_vmx___vt {
	struct vcpu_vt___vt vt;
} KERNEL;

struct vmcb_control_area {
	unsigned int exit_code;
} KERNEL;

struct vmcb {
	struct vmcb_control_area control;
} KERNEL;

struct vcpu_svm {
	struct vmcb *vmcb;
} KERNEL;

#endif
