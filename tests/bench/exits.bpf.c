// SPDX-License-Identifier: GPL-2.0
/*
 * What a BPF tool does that tells exit reasons and their time: at the tracepoint
 * kvm_exit count the reason and keep the time, at kvm_entry add the difference.
 * As little as that takes: arrays of each CPU, no hash, no filter but the
 * process.  exits-bpf loads it.
 */
#include "exits.bpf.h"

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* The tracepoint's fields, as its format file gives them. */
struct kvm_exit_args {
	__u64 common;
	__u32 exit_reason;
};

/* Of a thread, so that it may go to another CPU in between. */
struct pending {
	__u64 since;
	__u32 reason;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EXIT_REASONS);
	__type(key, __u32);
	__type(value, struct exit_sum);
} sums SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct pending);
} pending SEC(".maps");

/* Set by the loader. */
const volatile __u32 wanted_pid;

/* 0 would keep the event from all others that listen to it, as perf does. */
#define GO_ON 1

SEC("tracepoint/kvm/kvm_exit")
int count_exit(struct kvm_exit_args *args)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id, reason = args->exit_reason;
	struct pending now = { .reason = reason };
	struct exit_sum *sum;

	if (id >> 32 != wanted_pid)
		return GO_ON;

	sum = bpf_map_lookup_elem(&sums, &reason);
	if (!sum)
		return GO_ON;
	sum->exits++;
	now.since = bpf_ktime_get_ns();
	bpf_map_update_elem(&pending, &tid, &now, BPF_ANY);
	return GO_ON;
}

SEC("tracepoint/kvm/kvm_entry")
int time_exit(void *args)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;
	struct pending *from;
	struct exit_sum *sum;

	(void)args;
	if (id >> 32 != wanted_pid)
		return GO_ON;

	from = bpf_map_lookup_elem(&pending, &tid);
	if (!from || !from->since)
		return GO_ON;
	sum = bpf_map_lookup_elem(&sums, &from->reason);
	if (sum)
		sum->ns += bpf_ktime_get_ns() - from->since;
	from->since = 0;
	return GO_ON;
}

char _license[] SEC("license") = "GPL";
