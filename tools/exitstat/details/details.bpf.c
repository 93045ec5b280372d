// SPDX-License-Identifier: GPL-2.0
/*
 * Which MSRs, ports, addresses and so on the exits of one reason were for, see
 * attach.c.  All tracepoints between an exit and the next entry are hit by the
 * thread of the vCPU, so that is what they have in common.  Only on_exit_quick()
 * needs to know the kernel's types; beside modules that have no BTF there is
 * on_exit(), for which the tracepoint makes a record of each exit.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "details/rows.h"
#include "source/bpf_kernel.h"

#define ISA_VMX 1
#define VMX_REASON_MASK 0xffff
#define VECTOR_MASK 0xff

/* Set before loading. */
const volatile unsigned int wanted_reason = 0;
/* Exits of all reasons, if they go to userspace. */
const volatile bool any_reason = false;
const volatile bool is_svm = false;
const volatile bool with_rip = false;
const volatile bool from_vector = false, from_info1 = false;
const volatile unsigned int nr_processes = 0;
const volatile unsigned int processes[DETAILS_PROCESSES] = {};
/* where the fields of kvm_exit are, as its format says */
const volatile unsigned int reason_at = 0, isa_at = 0, rip_at = 0, info1_at = 0,
			    vector_at = 0;

/* Nothing is counted before all programs are attached. */
bool counting = false;
/* exits of which the key had no room, and those whose thread had none */
struct details_count other = {};
unsigned long long nr_missed = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DETAILS_THREADS);
	__type(key, unsigned int);
	__type(value, struct details_thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DETAILS_KEYS);
	__type(key, struct details_key);
	__type(value, struct details_count);
} counts SEC(".maps");

static __always_inline unsigned int this_thread(void)
{
	return bpf_get_current_pid_tgid();
}

static __always_inline unsigned int this_process(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* A field of a tracepoint's record. */
static __always_inline unsigned long long read_field(void *ctx, unsigned int at,
						     unsigned int size)
{
	unsigned long long value = 0;

	bpf_probe_read_kernel(&value, size, (char *)ctx + at);
	return value;
}

static __always_inline bool is_looked_at(void)
{
	const unsigned int process = this_process();
	unsigned int i;

	for (i = 0; i < DETAILS_PROCESSES; i++) {
		if (i >= nr_processes)
			break;
		if (processes[i] == process)
			return true;
	}
	return !nr_processes;
}

/* Follow an exit from here on.  What a thread has stays for its next one. */
static __always_inline int begin(const struct details_key *key)
{
	const unsigned int thread = this_thread();
	struct details_thread first = {}, *exit;

	exit = bpf_map_lookup_elem(&threads, &thread);
	if (!exit) {
		if (bpf_map_update_elem(&threads, &thread, &first, BPF_ANY))
			__sync_fetch_and_add(&nr_missed, 1);
		exit = bpf_map_lookup_elem(&threads, &thread);
		if (!exit)
			return 0;
	}
	exit->key = *key;
	exit->key.process = this_process();
	exit->active = 1;
	exit->stamp = bpf_ktime_get_ns();
	return 0;
}

static __always_inline bool is_wanted(unsigned int reason)
{
	return counting && (any_reason || reason == wanted_reason) &&
	       is_looked_at();
}

SEC("tp/kvm/kvm_exit")
int on_exit(void *ctx)
{
	unsigned int reason = read_field(ctx, reason_at, 4);
	struct details_key key = {};

	/* Bit 31 of a VMX exit reason is a failed entry, 27 and 26 are SGX's. */
	if (read_field(ctx, isa_at, 4) == ISA_VMX)
		reason &= VMX_REASON_MASK;
	if (!is_wanted(reason))
		return 0;
	if (with_rip)
		key.rip = read_field(ctx, rip_at, 8);
	if (from_vector) {
		key.value = read_field(ctx, vector_at, 4) & VECTOR_MASK;
		key.kind = DETAILS_PLAIN;
	} else if (from_info1) {
		key.value = read_field(ctx, info1_at, 8);
		key.kind = DETAILS_PLAIN;
	}
	return begin(&key);
}

/* (vcpu, isa), from 5.16 on */
SEC("raw_tp/kvm_exit")
int on_exit_quick(struct bpf_raw_tracepoint_args *ctx)
{
	static const struct details_key none = {};
	const unsigned long long vcpu = ctx->args[0];
	unsigned long long from = vcpu, vmcb = 0;
	unsigned int reason = 0;

	if (is_svm) {
		bpf_probe_read_kernel(
			&vmcb, sizeof(vmcb),
			(void *)(vcpu +
				 bpf_core_field_offset(struct vcpu_svm, vmcb)));
		from = vmcb +
		       bpf_core_field_offset(struct vmcb, control.exit_code);
	} else if (bpf_core_field_exists(struct vcpu_vmx___vt,
					 vt.exit_reason)) {
		from += bpf_core_field_offset(struct vcpu_vmx___vt,
					      vt.exit_reason);
	} else {
		from += bpf_core_field_offset(struct vcpu_vmx, exit_reason);
	}
	bpf_probe_read_kernel(&reason, sizeof(reason), (void *)from);
	if (!is_svm)
		reason &= VMX_REASON_MASK;
	return is_wanted(reason) ? begin(&none) : 0;
}

static __always_inline struct details_thread *find_exit(void)
{
	const unsigned int thread = this_thread();
	struct details_thread *exit = bpf_map_lookup_elem(&threads, &thread);

	return exit && exit->active ? exit : NULL;
}

/* The first one of an exit counts, but a device's address for more than a page's. */
static __always_inline int set_key(unsigned long long value, unsigned int kind,
				   bool replace)
{
	struct details_thread *exit = find_exit();

	if (!exit || (exit->key.kind != DETAILS_NONE &&
		      !(replace && exit->key.kind >= DETAILS_MEMORY_READ &&
			exit->key.kind <= DETAILS_MEMORY_EXECUTE)))
		return 0;
	exit->key.value = value;
	exit->key.kind = kind;
	return 0;
}

static __always_inline int count(struct details_thread *exit)
{
	const unsigned long long time = bpf_ktime_get_ns() - exit->stamp;
	struct details_count *sum, first = { .exits = 1, .time = time };

	exit->active = 0;
	/* It did not go to userspace. */
	if (any_reason && exit->key.kind == DETAILS_NONE)
		return 0;
	sum = bpf_map_lookup_elem(&counts, &exit->key);
	if (!sum) {
		if (!bpf_map_update_elem(&counts, &exit->key, &first,
					 BPF_NOEXIST))
			return 0;
		/* Another vCPU was quicker, or there is no room. */
		sum = bpf_map_lookup_elem(&counts, &exit->key);
		if (!sum)
			sum = &other;
	}
	__sync_fetch_and_add(&sum->exits, 1);
	__sync_fetch_and_add(&sum->time, time);
	return 0;
}

SEC("raw_tp/kvm_entry")
int on_entry(struct bpf_raw_tracepoint_args *ctx)
{
	struct details_thread *exit = find_exit();

	return exit ? count(exit) : 0;
}

/* (write, ecx, data, exception) */
SEC("raw_tp/kvm_msr")
int on_msr(struct bpf_raw_tracepoint_args *ctx)
{
	return set_key((unsigned int)ctx->args[1],
		       (unsigned int)ctx->args[0] ? DETAILS_WRITE :
						    DETAILS_READ,
		       false);
}

/* (rw, port, size, count, data) */
SEC("raw_tp/kvm_pio")
int on_pio(struct bpf_raw_tracepoint_args *ctx)
{
	return set_key((unsigned int)ctx->args[1],
		       (unsigned int)ctx->args[0] ? DETAILS_WRITE :
						    DETAILS_READ,
		       false);
}

/* (type, len, gpa, val): 0 and 1 are reads, 2 a write */
SEC("raw_tp/kvm_mmio")
int on_mmio(struct bpf_raw_tracepoint_args *ctx)
{
	return set_key(ctx->args[2],
		       (int)ctx->args[0] == 2 ? DETAILS_WRITE : DETAILS_READ,
		       true);
}

/* (gpa) */
SEC("raw_tp/kvm_fast_mmio")
int on_fast_mmio(struct bpf_raw_tracepoint_args *ctx)
{
	return set_key(ctx->args[0], DETAILS_DOORBELL, true);
}

/* (vcpu, address, error code): bit 1 is a write, bit 4 a fetch */
SEC("raw_tp/kvm_page_fault")
int on_page_fault(struct bpf_raw_tracepoint_args *ctx)
{
	const unsigned long long error = ctx->args[2];

	return set_key(ctx->args[1] & ~0xfffULL,
		       error & 1 << 4 ? DETAILS_MEMORY_EXECUTE :
		       error & 1 << 1 ? DETAILS_MEMORY_WRITE :
					DETAILS_MEMORY_READ,
		       false);
}

/* (nr, a0, a1, a2, a3) */
SEC("raw_tp/kvm_hypercall")
int on_hypercall(struct bpf_raw_tracepoint_args *ctx)
{
	return set_key(ctx->args[0], DETAILS_PLAIN, false);
}

/* (code, ...) */
SEC("raw_tp/kvm_hv_hypercall")
int on_hyperv_hypercall(struct bpf_raw_tracepoint_args *ctx)
{
	return set_key((unsigned short)ctx->args[0], DETAILS_HYPERV, false);
}

/* (cpl, nr, ...) */
SEC("raw_tp/kvm_xen_hypercall")
int on_xen_hypercall(struct bpf_raw_tracepoint_args *ctx)
{
	return set_key(ctx->args[1], DETAILS_XEN, false);
}

/* (function, index, ...) */
SEC("raw_tp/kvm_cpuid")
int on_cpuid(struct bpf_raw_tracepoint_args *ctx)
{
	return set_key(ctx->args[0] << 32 | (unsigned int)ctx->args[1],
		       DETAILS_PLAIN, false);
}

/* (rw, reg, val) */
SEC("raw_tp/kvm_apic")
int on_apic(struct bpf_raw_tracepoint_args *ctx)
{
	return set_key((unsigned int)ctx->args[1],
		       (unsigned int)ctx->args[0] ? DETAILS_WRITE :
						    DETAILS_READ,
		       false);
}

/* (ns, waited, valid) */
SEC("raw_tp/kvm_vcpu_wakeup")
int on_wakeup(struct bpf_raw_tracepoint_args *ctx)
{
	return set_key((bool)ctx->args[1], DETAILS_PLAIN, false);
}

/* (reason, errno) */
SEC("raw_tp/kvm_userspace_exit")
int on_userspace(struct bpf_raw_tracepoint_args *ctx)
{
	return set_key((unsigned int)ctx->args[0], DETAILS_PLAIN, false);
}

/* bpf_ktime_get_ns() and the rest are for programs under the GPL. */
char LICENSE[] SEC("license") = "GPL";
