// SPDX-License-Identifier: GPL-2.0
/*
 * The hooks, as native.c runs them.  Compiled twice, as a static key is a
 * constant here: with and without histograms.
 */
#include "native.h"

void RUN(struct thread *t)
{
	for (unsigned int i = 0; i < EXITS; i++) {
		kvm_exit_stats_vmentry(&t->vcpu);
		guest();
		kvm_exit_stats_vmexit(&t->vcpu, mix[i % MIX]);
		guest();
	}
}
