// SPDX-License-Identifier: GPL-2.0
/*
 * Counts the exits of all vCPUs on a kernel whose KVM does not, see bpf.c
 *
 * The state machine is that of the kernel's series: what ended between an exit
 * and the next entry is charged to its own column, and the exit's stamp moved
 * ahead by as much, so that all times add up to what has passed.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "source/bpf_rows.h"

#define NAME_WORDS (BPF_VM_NAME / 8)
/* What is used of the kernel's types; libbpf finds where it is. */
#define KERNEL __attribute__((preserve_access_index))

struct timespec64 {
	long long tv_sec;
	long tv_nsec;
} KERNEL;

struct qstr {
	const unsigned char *name;
} KERNEL;

struct dentry {
	struct qstr d_name;
} KERNEL;

struct kvm {
	int userspace_pid;
	struct dentry *debugfs_dentry;
} KERNEL;

struct kvm_vcpu_stat {
	unsigned long long exits;
	unsigned long long guest_mode;
} KERNEL;

struct kvm_vcpu {
	struct kvm *kvm;
	int vcpu_id;
	bool wants_to_run;
	bool preempted;
	bool scheduled_out;
	struct kvm_vcpu_stat stat;
} KERNEL;

struct task_struct {
	unsigned int __state;
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

extern void *bpf_rdonly_cast(const void *obj,
			     unsigned int btf_id) __ksym __weak;

/* Set before loading. */
const volatile bool has_cast = false;
const volatile bool is_svm = false;
const volatile bool has_times = true;
const volatile bool has_histograms = false;

/* Nothing is counted before all programs are attached. */
bool counting = false;
/* on_put and on_load are there */
bool has_phases = false;
/* enum count_level */
unsigned int level = 0;
/* all exits that KVM had counted before */
unsigned long long exits_before = 0;
/* when counting began, CLOCK_REALTIME, ns */
unsigned long long since = 0;
/* How often the programs ran that may be attached and never run. */
unsigned long long nr_puts = 0, nr_wakeups = 0, nr_destroyed = 0;
/* of the series of folds into the row of ended vCPUs: begun, and done */
unsigned long long folds_begun = 0, folds_done = 0;
unsigned long long nr_serials = 0, nr_shared = 0;
/* What the slot of an index is; 0 if it has none yet. */
unsigned int slots[BPF_INDICES] = {};
/* the index of a slot, and how many are taken */
unsigned int indices[BPF_SLOTS] = {};
unsigned int nr_slots = 0;
/* the row of the vCPU that ran last on a CPU */
unsigned int current_row[BPF_MAX_CPUS] = {};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, BPF_ROW_FIRST);
	__type(key, unsigned int);
	__type(value, struct bpf_row);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, unsigned int);
	__type(value, struct bpf_histograms);
} histograms SEC(".maps");

/* by the kernel's address of a vCPU */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, unsigned long long);
	__type(value, unsigned int);
} by_vcpu SEC(".maps");

/* rows that may be taken */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, unsigned int);
} free_rows SEC(".maps");

/* 8 bytes of the kernel's memory, 0 if they cannot be read. */
static __always_inline unsigned long long read_word(unsigned long long address)
{
	unsigned long long word = 0;

	if (has_cast) {
		const struct timespec64 *at = bpf_rdonly_cast(
			(void *)address,
			bpf_core_type_id_kernel(struct timespec64));

		return at->tv_sec;
	}
	bpf_probe_read_kernel(&word, sizeof(word), (void *)address);
	return word;
}

static __always_inline unsigned int read_reason(unsigned long long vcpu)
{
	unsigned long long vmcb;

	if (is_svm) {
		vmcb = read_word(vcpu +
				 bpf_core_field_offset(struct vcpu_svm, vmcb));
		return read_word(
			vmcb +
			bpf_core_field_offset(struct vmcb, control.exit_code));
	}
	if (bpf_core_field_exists(struct vcpu_vmx___vt, vt.exit_reason))
		return read_word(vcpu +
				 bpf_core_field_offset(struct vcpu_vmx___vt,
						       vt.exit_reason));
	return read_word(vcpu +
			 bpf_core_field_offset(struct vcpu_vmx, exit_reason));
}

/* What stands for an exit number, or BPF_INDICES. */
static __always_inline unsigned int index_of(unsigned int reason)
{
	/* Bit 31 of a VMX exit reason is a failed entry, 27 and 26 are SGX's. */
	if (!is_svm)
		reason &= 0xffff;
	if (reason < BPF_LOW)
		return reason;
	if (reason - BPF_HIGH_BASE < BPF_HIGH)
		return BPF_LOW + reason - BPF_HIGH_BASE;
	if (~reason < BPF_NEGATIVE)
		return BPF_LOW + BPF_HIGH + ~reason;
	return BPF_INDICES;
}

/* Give an index its slot: one of those who want to do it at once wins. */
static __noinline unsigned int take_slot(unsigned int index)
{
	unsigned int slot, old;

	if (index >= BPF_INDICES || nr_slots >= BPF_SLOTS - 1)
		return 0;
	slot = __sync_fetch_and_add(&nr_slots, 1) + 1;
	if (slot >= BPF_SLOTS)
		return 0;
	indices[slot & (BPF_SLOTS - 1)] = index;
	old = __sync_val_compare_and_swap(&slots[index], 0, slot);
	return old ? old : slot;
}

static __always_inline unsigned int slot_of(unsigned int reason)
{
	unsigned int index = index_of(reason);
	unsigned int slot;

	if (index >= BPF_INDICES)
		return 0;
	/* The verifier knows a mask better than the compiler's comparisons. */
	barrier_var(index);
	index &= BPF_INDICES - 1;
	slot = slots[index];
	return slot ? slot : take_slot(index);
}

/* A load has no offset for what is far inside, as in the struct kvm of 6.1. */
#define read_field(pointer, type, field)          \
	read_word((unsigned long long)(pointer) + \
		  bpf_core_field_offset(type, field))

static __always_inline void set_name(struct bpf_row *row, struct kvm *kvm)
{
	unsigned long long *name = (unsigned long long *)row->vm_name;
	unsigned long long dentry = 0, from = 0;
	int i;

	if (bpf_core_field_exists(struct kvm, debugfs_dentry))
		dentry = read_field(kvm, struct kvm, debugfs_dentry);
	if (dentry)
		from = read_field(dentry, struct dentry, d_name.name);
	for (i = 0; i < NAME_WORDS; i++)
		name[i] = from ? read_word(from + 8 * i) : 0;
	row->vm_name[BPF_VM_NAME - 1] = '\0';
}

/* A vCPU that comes to this CPU, or that is new. */
static __noinline int find_row_slowly(struct kvm_vcpu *vcpu)
{
	unsigned long long key = (unsigned long long)vcpu;
	unsigned int *known, number = BPF_ROW_SHARED;
	struct bpf_row *row;

	/* No row has this number. */
	if (!vcpu || !counting)
		return -1;
	known = bpf_map_lookup_elem(&by_vcpu, &key);
	if (known)
		return *known;
	if (bpf_map_pop_elem(&free_rows, &number))
		number = BPF_ROW_SHARED;
	row = bpf_map_lookup_elem(&rows, &number);
	if (!row || number == BPF_ROW_SHARED) {
		__sync_fetch_and_add(&nr_shared, 1);
		return BPF_ROW_SHARED;
	}
	row->vm = (unsigned long long)vcpu->kvm;
	row->serial = __sync_fetch_and_add(&nr_serials, 1) + 1;
	row->vcpu_id = vcpu->vcpu_id;
	row->pid = read_field(vcpu->kvm, struct kvm, userspace_pid);
	set_name(row, vcpu->kvm);
	row->state = BPF_OUTSIDE;
	row->preempted_at = row->user_at = row->preempted = row->extra = 0;
	row->number = number;
	row->first_exits = row->last_exits = vcpu->stat.exits;
	row->vcpu = key;
	bpf_map_update_elem(&by_vcpu, &key, &number, BPF_ANY);
	return number;
}

/* The shared one has no vCPU and no times; NULL if nothing is counted yet. */
static __always_inline struct bpf_row *find_row(struct kvm_vcpu *vcpu)
{
	const unsigned int cpu = bpf_get_smp_processor_id() &
				 (BPF_MAX_CPUS - 1);
	unsigned int number = current_row[cpu];
	struct bpf_row *row = bpf_map_lookup_elem(&rows, &number);

	if (row && row->vcpu == (unsigned long long)vcpu)
		return row;
	number = find_row_slowly(vcpu);
	current_row[cpu] = number;
	return bpf_map_lookup_elem(&rows, &number);
}

static __always_inline unsigned long long *counts_of(struct bpf_row *row)
{
	return row->counts[row->slot & (BPF_SLOTS - 1)];
}

static __always_inline int exited(struct kvm_vcpu *vcpu)
{
	unsigned long long now, *counts;
	struct bpf_row *row;

	if (!vcpu)
		return 0;
	row = find_row(vcpu);
	if (!row)
		return 0;
	row->slot = slot_of(read_reason((unsigned long long)vcpu));
	counts = counts_of(row);
	if (!row->vcpu) {
		/* Several vCPUs may write this one. */
		__sync_fetch_and_add(&counts[BPF_EXITS], 1);
		return 0;
	}
	if (has_times) {
		/* It entered before we came: what has an end is counted. */
		if (row->state == BPF_OUTSIDE)
			return 0;
		now = bpf_ktime_get_ns();
		row->guest += now - row->stamp;
		row->stamp = now;
		row->state = BPF_IN_HANDLE;
		row->preempted = row->extra = 0;
	} else {
		/* KVM counts this one, too, before or after we are called. */
		row->last_exits = vcpu->stat.exits + 1;
	}
	counts[BPF_EXITS]++;
	/* Unlike hflags, whose bits are other ones in 6.1. */
	row->l2 = vcpu->stat.guest_mode;
	if (row->l2)
		counts[BPF_L2_EXITS]++;
	return 0;
}

SEC("tp_btf/kvm_exit")
int BPF_PROG(on_exit, struct kvm_vcpu *vcpu)
{
	return exited(vcpu);
}

/* The same before 5.16. */
SEC("tp_btf/kvm_exit")
int BPF_PROG(on_exit_with_reason, unsigned int reason, struct kvm_vcpu *vcpu)
{
	return exited(vcpu);
}

/* The bucket of model/latency.h's bucket_of(): BPF cannot count leading zeros. */
static __always_inline unsigned int bucket_of(unsigned long long time)
{
	unsigned int bucket = 0, rest = time >> 7;

	if (time >> 30)
		return BPF_BUCKETS - 1;
	if (rest >> 16) {
		bucket = 16;
		rest >>= 16;
	}
	if (rest >> 8) {
		bucket += 8;
		rest >>= 8;
	}
	if (rest >> 4) {
		bucket += 4;
		rest >>= 4;
	}
	if (rest >> 2) {
		bucket += 2;
		rest >>= 2;
	}
	return bucket + (rest >> 1);
}

static __always_inline void put_time(struct bpf_histogram *histogram,
				     enum bpf_part part,
				     unsigned long long time)
{
	unsigned int bucket = bucket_of(time);

	if (time > histogram->max[part])
		histogram->max[part] = time;
	barrier_var(bucket);
	if (bucket < BPF_BUCKETS)
		histogram->exits[part][bucket]++;
}

static __always_inline void put_exit(const struct bpf_row *row,
				     unsigned long long handle)
{
	const unsigned int number = row->number;
	struct bpf_histograms *of = bpf_map_lookup_elem(&histograms, &number);
	struct bpf_histogram *histogram;

	if (!of)
		return;
	histogram = &of->slots[row->slot & (BPF_SLOTS - 1)];
	if (!row->extra) {
		put_time(histogram, BPF_BOTH, handle);
		return;
	}
	put_time(histogram, BPF_HANDLE_ONLY, handle);
	put_time(histogram, BPF_TOTAL_ONLY, handle + row->extra);
}

SEC("tp_btf/kvm_entry")
int BPF_PROG(on_entry, struct kvm_vcpu *vcpu)
{
	unsigned long long now, handle, *counts;
	struct bpf_row *row;

	if (!vcpu)
		return 0;
	row = find_row(vcpu);
	if (!row || !row->vcpu)
		return 0;
	now = bpf_ktime_get_ns();
	if (row->state == BPF_IN_HANDLE) {
		counts = counts_of(row);
		handle = now - row->stamp;
		counts[BPF_HANDLE] += handle;
		if (row->l2)
			counts[BPF_L2_HANDLE] += handle;
		if (has_histograms)
			put_exit(row, handle);
	} else if (row->state == BPF_OUTSIDE) {
		row->first_exits = row->last_exits = vcpu->stat.exits;
	}
	row->stamp = now;
	row->state = BPF_IN_GUEST;
	return 0;
}

/* Charge what began at @from to a column, and not to the exit's handling. */
static __always_inline unsigned long long
charge(struct bpf_row *row, unsigned long long from, enum bpf_count count)
{
	unsigned long long now = bpf_ktime_get_ns(), time = now - from;

	if (row->state != BPF_IN_HANDLE || from < row->stamp)
		return 0;
	counts_of(row)[count] += time;
	if (count != BPF_WAIT)
		row->extra += time;
	row->stamp += time;
	return time;
}

static __always_inline bool sleeps(struct kvm_vcpu *vcpu)
{
	struct task_struct *task;

	if (bpf_core_field_exists(vcpu->scheduled_out))
		return vcpu->scheduled_out;
	task = (struct task_struct *)bpf_get_current_task_btf();
	return task->__state;
}

/* Kernels without this one: a put of another ioctl than KVM_RUN looks the same. */
static __always_inline bool wants_to_run(struct kvm_vcpu *vcpu)
{
	return !bpf_core_field_exists(vcpu->wants_to_run) || vcpu->wants_to_run;
}

SEC("fentry/kvm_arch_vcpu_put")
int BPF_PROG(on_put, struct kvm_vcpu *vcpu)
{
	struct bpf_row *row;

	row = find_row(vcpu);
	if (!row)
		return 0;
	nr_puts++;
	if (row->state != BPF_IN_HANDLE)
		return 0;
	/* All that it has seen is in there. */
	row->last_exits = vcpu->stat.exits;
	if (vcpu->preempted)
		row->preempted_at = bpf_ktime_get_ns();
	else if (!sleeps(vcpu) && wants_to_run(vcpu))
		row->user_at = bpf_ktime_get_ns();
	return 0;
}

SEC("fentry/kvm_arch_vcpu_load")
int BPF_PROG(on_load, struct kvm_vcpu *vcpu)
{
	struct bpf_row *row;

	row = find_row(vcpu);
	if (!row)
		return 0;
	if (row->preempted_at) {
		if (!row->preempted)
			row->preempted_from = row->preempted_at;
		row->preempted += charge(row, row->preempted_at, BPF_PREEMPTED);
		row->preempted_at = 0;
	} else if (row->user_at && wants_to_run(vcpu)) {
		charge(row, row->user_at, BPF_USER);
		row->user_at = 0;
	}
	return 0;
}

/* The vCPU was blocked for @ns, polling included, and that is over. */
SEC("tp_btf/kvm_vcpu_wakeup")
int BPF_PROG(on_wakeup, unsigned long long ns)
{
	const unsigned int cpu = bpf_get_smp_processor_id() &
				 (BPF_MAX_CPUS - 1);
	unsigned int number = current_row[cpu];
	struct bpf_row *row = bpf_map_lookup_elem(&rows, &number);
	unsigned long long from;

	if (!counting)
		return 0;
	nr_wakeups++;
	if (!row || !row->vcpu)
		return 0;
	from = bpf_ktime_get_ns() - ns;
	/* What it had to wait for a CPU meanwhile was charged already. */
	if (row->preempted && row->preempted_from >= from)
		from += row->preempted;
	charge(row, from, BPF_WAIT);
	return 0;
}

/* Add the histograms of a vCPU that ends to those of all that have. */
static __always_inline void fold_histograms(unsigned int taken)
{
	unsigned int ended = BPF_ROW_ENDED, s, p, b;
	struct bpf_histograms *from = bpf_map_lookup_elem(&histograms, &taken);
	struct bpf_histograms *to = bpf_map_lookup_elem(&histograms, &ended);

	if (!from || !to)
		return;
	for (s = 0; s < BPF_SLOTS; s++) {
		for (p = 0; p < BPF_PARTS; p++) {
			if (from->slots[s].max[p] > to->slots[s].max[p])
				to->slots[s].max[p] = from->slots[s].max[p];
			from->slots[s].max[p] = 0;
			for (b = 0; b < BPF_BUCKETS; b++) {
				__sync_fetch_and_add(
					&to->slots[s].exits[p][b],
					from->slots[s].exits[p][b]);
				from->slots[s].exits[p][b] = 0;
			}
		}
	}
}

SEC("fentry/kvm_arch_vcpu_destroy")
int BPF_PROG(on_destroy, struct kvm_vcpu *vcpu)
{
	unsigned int *number, ended = BPF_ROW_ENDED, taken, s, c;
	unsigned long long key = (unsigned long long)vcpu;
	struct bpf_row *row, *sum;

	number = bpf_map_lookup_elem(&by_vcpu, &key);
	if (!number)
		return 0;
	taken = *number;
	row = bpf_map_lookup_elem(&rows, &taken);
	sum = bpf_map_lookup_elem(&rows, &ended);
	if (!row || !sum || taken < BPF_ROW_FIRST)
		return 0;
	__sync_fetch_and_add(&nr_destroyed, 1);
	__sync_fetch_and_add(&folds_begun, 1);
	for (s = 0; s < BPF_SLOTS; s++) {
		for (c = 0; c < BPF_COUNTS; c++) {
			__sync_fetch_and_add(&sum->counts[s][c],
					     row->counts[s][c]);
			row->counts[s][c] = 0;
		}
	}
	if (has_histograms)
		fold_histograms(taken);
	__sync_fetch_and_add(&sum->guest, row->guest);
	__sync_fetch_and_add(&sum->last_exits,
			     row->last_exits - row->first_exits);
	row->guest = row->first_exits = row->last_exits = 0;
	row->vcpu = 0;
	__sync_fetch_and_add(&folds_done, 1);
	bpf_map_delete_elem(&by_vcpu, &key);
	bpf_map_push_elem(&free_rows, &taken, BPF_ANY);
	return 0;
}

/* bpf_ktime_get_ns() and the rest are for programs under the GPL. */
char LICENSE[] SEC("license") = "GPL";
