// SPDX-License-Identifier: GPL-2.0
/* The names are expanded from the kernel's own headers. */
#include <asm/kvm.h> /* the exception vectors that svm.h uses */
#include <asm/svm.h>
#include <asm/vmx.h>

#include "base/array.h"
#include "model/reasons_x86.h"

static const struct reason vmx[] = { VMX_EXIT_REASONS };
static const struct reason svm[] = { SVM_EXIT_REASONS };

/* Intel SDM vol. 3, appendix C: a table, as it leaves numbers out. */
static const struct reason_range vmx_ranges[] = {
	{ 0, 34, REASON_DEFINED },  { 35, 35, REASON_UNDEFINED },
	{ 36, 37, REASON_DEFINED }, { 38, 38, REASON_UNDEFINED },
	{ 39, 41, REASON_DEFINED }, { 42, 42, REASON_UNDEFINED },
	{ 43, 70, REASON_DEFINED }, { 71, 71, REASON_UNDEFINED },
	{ 72, 81, REASON_DEFINED }, { 82, 83, REASON_UNDEFINED },
	{ 84, 85, REASON_DEFINED },
};

/*
 * AMD APM vol. 2, appendix C.  Below 0x40 are accesses to control and debug
 * registers, for half of which a guest gets a #UD as they do not exist.
 */
static const struct reason_range svm_ranges[] = {
	{ 0x00, 0x00, REASON_DEFINED },
	{ 0x01, 0x01, REASON_UNSEEN },
	{ 0x02, 0x04, REASON_DEFINED },
	{ 0x05, 0x07, REASON_UNSEEN },
	{ 0x08, 0x08, REASON_DEFINED },
	{ 0x09, 0x0f, REASON_UNSEEN },
	{ 0x10, 0x10, REASON_DEFINED },
	{ 0x11, 0x11, REASON_UNSEEN },
	{ 0x12, 0x14, REASON_DEFINED },
	{ 0x15, 0x17, REASON_UNSEEN },
	{ 0x18, 0x18, REASON_DEFINED },
	{ 0x19, 0x1f, REASON_UNSEEN },
	{ 0x20, 0x27, REASON_DEFINED },
	{ 0x28, 0x2f, REASON_UNSEEN },
	{ 0x30, 0x37, REASON_DEFINED },
	{ 0x38, 0x3f, REASON_UNSEEN },
	{ 0x40, 0xa6, REASON_DEFINED },
	{ 0x400, 0x403, REASON_DEFINED },
	{ 0xf0000000, 0xf0000000, REASON_DEFINED },
	{ 0xfffffffc, 0xffffffff, REASON_DEFINED },
};

const struct reason_table vmx_reasons = {
	.isa = "vmx",
	.cpuid = EXIT_REASON_CPUID,
	.reasons = vmx,
	.nr_reasons = ARRAY_SIZE(vmx),
	.ranges = vmx_ranges,
	.nr_ranges = ARRAY_SIZE(vmx_ranges),
};

const struct reason_table svm_reasons = {
	.isa = "svm",
	.cpuid = SVM_EXIT_CPUID,
	.reasons = svm,
	.nr_reasons = ARRAY_SIZE(svm),
	.ranges = svm_ranges,
	.nr_ranges = ARRAY_SIZE(svm_ranges),
	.nr_negative = 4,
};
