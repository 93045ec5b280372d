// SPDX-License-Identifier: GPL-2.0
/* Goes through all open files, of which some are VMs, see inhibits.c. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "doctor/apicv_row.h"
#include "source/bpf_kernel.h"

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} KERNEL;

struct file {
	const void *f_op;
	void *private_data;
} KERNEL;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct file *file;
} KERNEL;

struct kvm_arch {
	unsigned long apicv_inhibit_reasons;
} KERNEL;

struct kvm {
	struct dentry *debugfs_dentry;
	struct kvm_arch arch;
} KERNEL;

extern const void kvm_vm_fops __ksym;

SEC("iter/task_file")
int each_file(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct apicv_row row = {};
	const unsigned char *name;
	struct dentry *dentry;
	struct kvm *kvm;

	if (!file || file->f_op != &kvm_vm_fops)
		return 0;
	kvm = file->private_data;
	row.vm = (unsigned long)kvm;
	row.inhibits = BPF_CORE_READ(kvm, arch.apicv_inhibit_reasons);
	dentry = BPF_CORE_READ(kvm, debugfs_dentry);
	name = BPF_CORE_READ(dentry, d_name.name);
	bpf_probe_read_kernel_str(row.name, sizeof(row.name), name);
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

char apicv_license[] SEC("license") = "GPL";
