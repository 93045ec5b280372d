/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NATIVE_H
#define NATIVE_H

#include <pthread.h>

#include <linux/kvm_host.h>

#include "exit_stats.h"

/* VM-exits in a round. */
#define EXITS 10000
/* Their reasons, over and over. */
#define MIX 16

struct thread {
	pthread_t thread;
	unsigned int nr;
	struct kvm_vcpu vcpu;
	/* What gs points to. */
	struct {
		struct kvm_exit_counts counts;
		struct kvm_exit_hist hist;
	} cpu;
} __attribute__((aligned(4096)));

/*
 * In place of VM-entry and VM-exit: neither the compiler nor the CPU goes on
 * before all is done.
 */
#define guest() asm volatile("lfence" ::: "memory")

extern const unsigned char mix[MIX];

void run_counts(struct thread *t);
void run_hist(struct thread *t);

#endif
