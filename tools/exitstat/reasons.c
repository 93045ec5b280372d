// SPDX-License-Identifier: GPL-2.0
/* Names of exit reasons, expanded from the kernel's own headers. */
#include <asm/kvm.h> /* the exception vectors that svm.h uses */
#include <asm/svm.h>
#include <asm/vmx.h>

#include "reasons.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

static const struct reason vmx[] = { VMX_EXIT_REASONS };
static const struct reason svm[] = { SVM_EXIT_REASONS };

const struct reason_table vmx_reasons = {
	.isa = "vmx",
	.cpuid = EXIT_REASON_CPUID,
	.reasons = vmx,
	.nr_reasons = ARRAY_SIZE(vmx),
};

const struct reason_table svm_reasons = {
	.isa = "svm",
	.cpuid = SVM_EXIT_CPUID,
	.reasons = svm,
	.nr_reasons = ARRAY_SIZE(svm),
	/* the invalid guest state, and SEV's busy state */
	.nr_negative = 2,
};

const char *reason_name(const struct reason_table *table, uint32_t nr)
{
	size_t i;

	for (i = 0; i < table->nr_reasons; i++) {
		if (table->reasons[i].nr == nr)
			return table->reasons[i].name;
	}
	return NULL;
}
