// SPDX-License-Identifier: GPL-2.0
/*
 * Names of MSRs, ports, addresses, APIC registers and calls, each with where they
 * were taken from.
 */
#include <asm/kvm.h>
#include <asm/svm.h>
#include <asm/vmx.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "details/keys.h"
#include "model/reasons_x86.h"

/* A number, or some from there on, that are @name, or @name + n. */
struct key_name {
	uint64_t first, nr;
	const char *name;
};

/* arch/x86/include/asm/msr-index.h, kvm_para.h and hyperv-tlfs.h of Linux 6.12 */
static const struct key_name msr_names[] = {
	{ 0x10, 1, "TSC" },
	{ 0x1b, 1, "APIC_BASE" },
	{ 0x3a, 1, "FEAT_CTL" },
	{ 0x3b, 1, "TSC_ADJUST" },
	{ 0x48, 1, "SPEC_CTRL" },
	{ 0x49, 1, "PRED_CMD" },
	{ 0x79, 1, "UCODE_WRITE" },
	{ 0x8b, 1, "UCODE_REV" },
	{ 0xc1, 8, "PERFCTR" },
	{ 0xce, 1, "PLATFORM_INFO" },
	{ 0xe7, 1, "MPERF" },
	{ 0xe8, 1, "APERF" },
	{ 0x10a, 1, "ARCH_CAPABILITIES" },
	{ 0x10b, 1, "FLUSH_CMD" },
	{ 0x122, 1, "TSX_CTRL" },
	{ 0x140, 1, "MISC_FEATURES_ENABLES" },
	{ 0x174, 1, "SYSENTER_CS" },
	{ 0x175, 1, "SYSENTER_ESP" },
	{ 0x176, 1, "SYSENTER_EIP" },
	{ 0x179, 1, "MCG_CAP" },
	{ 0x17a, 1, "MCG_STATUS" },
	{ 0x186, 8, "PERFEVTSEL" },
	{ 0x198, 1, "PERF_STATUS" },
	{ 0x19a, 1, "THERM_CONTROL" },
	{ 0x19b, 1, "THERM_INTERRUPT" },
	{ 0x19c, 1, "THERM_STATUS" },
	{ 0x1a0, 1, "MISC_ENABLE" },
	{ 0x1a2, 1, "TEMPERATURE_TARGET" },
	{ 0x1d9, 1, "DEBUGCTLMSR" },
	{ 0x200, 16, "MTRRphys" },
	{ 0x277, 1, "CR_PAT" },
	{ 0x2ff, 1, "MTRRdefType" },
	{ 0x309, 4, "FIXED_CTR" },
	{ 0x345, 1, "PERF_CAPABILITIES" },
	{ 0x38d, 1, "FIXED_CTR_CTRL" },
	{ 0x38e, 1, "PERF_GLOBAL_STATUS" },
	{ 0x38f, 1, "PERF_GLOBAL_CTRL" },
	{ 0x390, 1, "PERF_GLOBAL_OVF_CTRL" },
	{ 0x400, 128, "MC_BANK" },
	{ 0x606, 1, "RAPL_POWER_UNIT" },
	{ 0x611, 1, "PKG_ENERGY_STATUS" },
	{ 0x619, 1, "DRAM_ENERGY_STATUS" },
	{ 0x639, 1, "PP0_ENERGY_STATUS" },
	{ 0x641, 1, "PP1_ENERGY_STATUS" },
	{ 0x6e0, 1, "TSC_DEADLINE" },
	{ 0x802, 1, "X2APIC_ID" },
	{ 0x808, 1, "X2APIC_TPR" },
	{ 0x80b, 1, "X2APIC_EOI" },
	{ 0x80f, 1, "X2APIC_SPIV" },
	{ 0x830, 1, "X2APIC_ICR" },
	{ 0x832, 1, "X2APIC_LVTT" },
	{ 0x835, 1, "X2APIC_LVT0" },
	{ 0x836, 1, "X2APIC_LVT1" },
	{ 0x838, 1, "X2APIC_TMICT" },
	{ 0x839, 1, "X2APIC_TMCCT" },
	{ 0x83e, 1, "X2APIC_TDCR" },
	{ 0x83f, 1, "X2APIC_SELF_IPI" },
	{ 0x800, 0x100, "X2APIC" },
	{ 0xda0, 1, "XSS" },
	{ 0x40000000, 1, "HV_GUEST_OS_ID" },
	{ 0x40000001, 1, "HV_HYPERCALL" },
	{ 0x40000002, 1, "HV_VP_INDEX" },
	{ 0x40000003, 1, "HV_RESET" },
	{ 0x40000020, 1, "HV_TIME_REF_COUNT" },
	{ 0x40000021, 1, "HV_REFERENCE_TSC" },
	{ 0x40000070, 1, "HV_EOI" },
	{ 0x40000071, 1, "HV_ICR" },
	{ 0x40000072, 1, "HV_TPR" },
	{ 0x40000073, 1, "HV_VP_ASSIST_PAGE" },
	{ 0x40000080, 5, "HV_SYNIC" },
	{ 0x40000090, 16, "HV_SINT" },
	{ 0x400000b0, 8, "HV_STIMER" },
	{ 0x4b564d00, 1, "KVM_WALL_CLOCK_NEW" },
	{ 0x4b564d01, 1, "KVM_SYSTEM_TIME_NEW" },
	{ 0x4b564d02, 1, "KVM_ASYNC_PF_EN" },
	{ 0x4b564d03, 1, "KVM_STEAL_TIME" },
	{ 0x4b564d04, 1, "KVM_PV_EOI_EN" },
	{ 0x4b564d05, 1, "KVM_POLL_CONTROL" },
	{ 0x4b564d06, 1, "KVM_ASYNC_PF_INT" },
	{ 0x4b564d07, 1, "KVM_ASYNC_PF_ACK" },
	{ 0x4b564d08, 1, "KVM_MIGRATION_CONTROL" },
	{ 0xc0000080, 1, "EFER" },
	{ 0xc0000081, 1, "STAR" },
	{ 0xc0000082, 1, "LSTAR" },
	{ 0xc0000083, 1, "CSTAR" },
	{ 0xc0000084, 1, "SYSCALL_MASK" },
	{ 0xc0000100, 1, "FS_BASE" },
	{ 0xc0000101, 1, "GS_BASE" },
	{ 0xc0000102, 1, "KERNEL_GS_BASE" },
	{ 0xc0000103, 1, "TSC_AUX" },
	{ 0xc0000104, 1, "AMD64_TSC_RATIO" },
	{ 0xc0010000, 4, "K7_EVNTSEL" },
	{ 0xc0010004, 4, "K7_PERFCTR" },
	{ 0xc0010010, 1, "AMD64_SYSCFG" },
	{ 0xc0010015, 1, "K7_HWCR" },
	{ 0xc0010064, 8, "AMD_PSTATE_DEF" },
	{ 0xc0010200, 12, "F15H_PERF" },
	{ 0xc0010299, 1, "AMD_RAPL_POWER_UNIT" },
	{ 0xc001029a, 1, "AMD_CORE_ENERGY_STATUS" },
	{ 0xc001029b, 1, "AMD_PKG_ENERGY_STATUS" },
	{ 0xc0011029, 1, "AMD64_DE_CFG" },
};

/* QEMU's pc and q35 (hw/i386, hw/isa, hw/acpi); the PC's own, Linux' asm headers */
static const struct key_name port_names[] = {
	{ 0x20, 2, "PIC" },
	{ 0xa0, 2, "PIC2" },
	{ 0x40, 4, "PIT" },
	{ 0x60, 1, "keyboard data" },
	{ 0x61, 1, "speaker" },
	{ 0x64, 1, "keyboard" },
	{ 0x70, 2, "RTC" },
	{ 0x80, 1, "delay, POST code" },
	{ 0x92, 1, "A20, reset" },
	{ 0xb2, 2, "SMI" },
	{ 0x170, 8, "IDE 2" },
	{ 0x1f0, 8, "IDE" },
	{ 0x2e8, 8, "serial 4" },
	{ 0x2f8, 8, "serial 2" },
	{ 0x376, 1, "IDE 2" },
	{ 0x378, 3, "parallel" },
	{ 0x3b0, 48, "VGA" },
	{ 0x3e8, 8, "serial 3" },
	{ 0x3f6, 1, "IDE" },
	{ 0x3f8, 8, "serial" },
	{ 0x3f0, 6, "floppy" },
	{ 0x402, 1, "firmware's log" },
	{ 0x4d0, 2, "PIC ELCR" },
	{ 0x510, 2, "fw_cfg" },
	{ 0x514, 8, "fw_cfg DMA" },
	{ 0x600, 8, "ACPI PM" },
	{ 0x608, 4, "ACPI timer" },
	{ 0x620, 16, "ACPI GPE" },
	{ 0x5658, 2, "VMware" },
	{ 0xae00, 0x18, "PCI hotplug" },
	{ 0xcf8, 4, "PCI address" },
	{ 0xcfc, 4, "PCI data" },
	{ 0xaf00, 0x20, "CPU hotplug" },
	{ 0xb008, 4, "ACPI timer" },
};

/* Intel SDM vol. 3, chapter 12; ICH9's and PIIX' memory map, as QEMU has them */
static const struct key_name address_names[] = {
	{ 0xfee00000, 0x1000, "APIC" }, { 0xfec00000, 0x1000, "I/O APIC" },
	{ 0xfed00000, 0x1000, "HPET" }, { 0xfed40000, 0x5000, "TPM" },
	{ 0xa0000, 0x20000, "VGA" },	{ 0xffc00000, 0x400000, "firmware" },
};

/* The APIC's registers: arch/x86/include/asm/apicdef.h */
static const struct key_name apic_names[] = {
	{ 0x20, 1, "ID" },	  { 0x30, 1, "LVR" },
	{ 0x80, 1, "TPR" },	  { 0xb0, 1, "EOI" },
	{ 0xd0, 1, "LDR" },	  { 0xe0, 1, "DFR" },
	{ 0xf0, 1, "SPIV" },	  { 0x100, 0x80, "ISR" },
	{ 0x180, 0x80, "TMR" },	  { 0x200, 0x80, "IRR" },
	{ 0x280, 1, "ESR" },	  { 0x300, 1, "ICR" },
	{ 0x310, 1, "ICR2" },	  { 0x320, 1, "LVTT" },
	{ 0x330, 1, "LVTTHMR" },  { 0x340, 1, "LVTPC" },
	{ 0x350, 1, "LVT0" },	  { 0x360, 1, "LVT1" },
	{ 0x370, 1, "LVTERR" },	  { 0x380, 1, "TMICT" },
	{ 0x390, 1, "TMCCT" },	  { 0x3e0, 1, "TDCR" },
	{ 0x3f0, 1, "SELF_IPI" },
};

#define CALL(name)                      \
	{                               \
		KVM_HC_##name, 1, #name \
	}

/* include/uapi/linux/kvm_para.h */
static const struct key_name hypercall_names[] = {
	CALL(VAPIC_POLL_IRQ), CALL(KICK_CPU),	 CALL(CLOCK_PAIRING),
	CALL(SEND_IPI),	      CALL(SCHED_YIELD), CALL(MAP_GPA_RANGE),
};

/* include/asm-generic/hyperv-tlfs.h */
static const struct key_name hyperv_names[] = {
	{ 0x0002, 1, "FLUSH_VIRTUAL_ADDRESS_SPACE" },
	{ 0x0003, 1, "FLUSH_VIRTUAL_ADDRESS_LIST" },
	{ 0x0008, 1, "NOTIFY_LONG_SPIN_WAIT" },
	{ 0x000b, 1, "SEND_IPI" },
	{ 0x0013, 1, "FLUSH_VIRTUAL_ADDRESS_SPACE_EX" },
	{ 0x0014, 1, "FLUSH_VIRTUAL_ADDRESS_LIST_EX" },
	{ 0x0015, 1, "SEND_IPI_EX" },
	{ 0x005c, 1, "POST_MESSAGE" },
	{ 0x005d, 1, "SIGNAL_EVENT" },
};

/* Intel SDM vol. 3, chapter 6 */
static const struct key_name vector_names[] = {
	{ 0, 1, "#DE" },  { 1, 1, "#DB" },  { 2, 1, "NMI" },  { 3, 1, "#BP" },
	{ 4, 1, "#OF" },  { 5, 1, "#BR" },  { 6, 1, "#UD" },  { 7, 1, "#NM" },
	{ 8, 1, "#DF" },  { 10, 1, "#TS" }, { 11, 1, "#NP" }, { 12, 1, "#SS" },
	{ 13, 1, "#GP" }, { 14, 1, "#PF" }, { 16, 1, "#MF" }, { 17, 1, "#AC" },
	{ 18, 1, "#MC" }, { 19, 1, "#XM" }, { 21, 1, "#CP" },
};

/* arch/x86/include/asm/irq_vectors.h of Linux 6.12 */
static const struct key_name irq_names[] = {
	{ 0xec, 1, "local timer" },
	{ 0xef, 1, "KVM wakeup" },
	{ 0xf0, 1, "posted interrupt" },
	{ 0xf2, 1, "posted interrupt" },
	{ 0xf3, 1, "Hyper-V" },
	{ 0xf6, 1, "irq work" },
	{ 0xf7, 1, "x86 platform" },
	{ 0xf8, 1, "reboot" },
	{ 0xf9, 1, "threshold" },
	{ 0xfa, 1, "thermal" },
	{ 0xfb, 1, "call function, one" },
	{ 0xfc, 1, "call function" },
	{ 0xfd, 1, "reschedule" },
	{ 0xfe, 1, "error" },
	{ 0xff, 1, "spurious" },
	{ 0x20, 0xcc, "device" },
};

static const struct key_name wakeup_names[] = {
	{ 0, 1, "polling caught it" },
	{ 1, 1, "it slept" },
};

#define EXIT(name)                        \
	{                                 \
		KVM_EXIT_##name, 1, #name \
	}

/* include/uapi/linux/kvm.h */
static const struct key_name userspace_names[] = {
	EXIT(UNKNOWN),
	EXIT(EXCEPTION),
	EXIT(IO),
	EXIT(HYPERCALL),
	EXIT(DEBUG),
	EXIT(HLT),
	EXIT(MMIO),
	EXIT(IRQ_WINDOW_OPEN),
	EXIT(SHUTDOWN),
	EXIT(FAIL_ENTRY),
	EXIT(INTR),
	EXIT(SET_TPR),
	EXIT(TPR_ACCESS),
	EXIT(NMI),
	EXIT(INTERNAL_ERROR),
	EXIT(SYSTEM_EVENT),
	EXIT(IOAPIC_EOI),
	EXIT(HYPERV),
	EXIT(X86_RDMSR),
	EXIT(X86_WRMSR),
	EXIT(DIRTY_RING_FULL),
	EXIT(AP_RESET_HOLD),
	EXIT(X86_BUS_LOCK),
	EXIT(XEN),
};

#define BOTH(a, b, source, heading)                                       \
	{                                                                 \
		.vmx = (a), .svm = (b), .has_vmx = true, .has_svm = true, \
		.from = (source), .key = (heading)                        \
	}
#define VMX(a, source, heading)                                \
	{                                                      \
		.vmx = (a), .has_vmx = true, .from = (source), \
		.key = (heading)                               \
	}
#define SVM(b, source, heading)                                \
	{                                                      \
		.svm = (b), .has_svm = true, .from = (source), \
		.key = (heading)                               \
	}

static const struct details_of all[] = {
	VMX(EXIT_REASON_EXCEPTION_NMI, DETAILS_FROM_VECTOR, "VECTOR"),
	VMX(EXIT_REASON_EXTERNAL_INTERRUPT, DETAILS_FROM_VECTOR, "VECTOR"),
	BOTH(EXIT_REASON_CPUID, SVM_EXIT_CPUID, DETAILS_FROM_CPUID, "LEAF"),
	BOTH(EXIT_REASON_HLT, SVM_EXIT_HLT, DETAILS_FROM_WAKEUP, "WAKEUP"),
	SVM(0xa6, DETAILS_FROM_WAKEUP, "WAKEUP"),
	BOTH(EXIT_REASON_VMCALL, SVM_EXIT_VMMCALL, DETAILS_FROM_HYPERCALL,
	     "CALL"),
	VMX(EXIT_REASON_CR_ACCESS, DETAILS_FROM_INFO1, "REGISTER"),
	BOTH(EXIT_REASON_IO_INSTRUCTION, SVM_EXIT_IOIO, DETAILS_FROM_PIO,
	     "PORT"),
	BOTH(EXIT_REASON_MSR_READ, SVM_EXIT_MSR, DETAILS_FROM_MSR, "MSR"),
	VMX(EXIT_REASON_MSR_WRITE, DETAILS_FROM_MSR, "MSR"),
	VMX(84, DETAILS_FROM_MSR, "MSR"),
	VMX(85, DETAILS_FROM_MSR, "MSR"),
	BOTH(EXIT_REASON_APIC_ACCESS, SVM_EXIT_AVIC_UNACCELERATED_ACCESS,
	     DETAILS_FROM_APIC, "REGISTER"),
	BOTH(EXIT_REASON_APIC_WRITE, SVM_EXIT_AVIC_INCOMPLETE_IPI,
	     DETAILS_FROM_APIC, "REGISTER"),
	VMX(EXIT_REASON_EPT_VIOLATION,
	    DETAILS_FROM_PAGE_FAULT | DETAILS_FROM_MMIO, "ADDRESS"),
	BOTH(EXIT_REASON_EPT_MISCONFIG, SVM_EXIT_NPF,
	     DETAILS_FROM_PAGE_FAULT | DETAILS_FROM_MMIO, "ADDRESS"),
};

const struct details_of details_of_userspace = {
	.from = DETAILS_FROM_USERSPACE,
	.key = "KVM_EXIT",
};

const struct details_of *details_of_reason(const struct reason_table *table,
					   uint32_t reason)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		if (table == &svm_reasons ?
			    all[i].has_svm && all[i].svm == reason :
			    all[i].has_vmx && all[i].vmx == reason)
			return &all[i];
	}
	return NULL;
}

static void find_name(const struct key_name *names, size_t nr, uint64_t value,
		      char *text)
{
	size_t i;

	*text = '\0';
	for (i = 0; i < nr; i++) {
		if (value - names[i].first >= names[i].nr)
			continue;
		snprintf(text, DETAILS_TEXT_SIZE, "%s", names[i].name);
		return;
	}
}

#define FIND(names, value, text) \
	find_name(names, ARRAY_SIZE(names), value, text)

/* Intel SDM vol. 3, table 29-3: the qualification of accesses to CRs */
static void name_register(uint64_t qualification, char *name)
{
	static const char *const types[] = { "write", "read", "CLTS", "LMSW" };

	snprintf(name, DETAILS_TEXT_SIZE, "%s", types[qualification >> 4 & 3]);
}

void details_key_text(const struct details_of *of,
		      const struct details_key *key, char *text)
{
	const uint64_t value = key->value;
	const size_t size = DETAILS_TEXT_SIZE;

	if (key->kind == DETAILS_NONE)
		snprintf(text, size, "-");
	else if (of->from & DETAILS_FROM_CPUID)
		snprintf(text, size, "0x%08" PRIx64 "/%" PRIu64, value >> 32,
			 value & UINT32_MAX);
	else if (of->from & DETAILS_FROM_INFO1)
		snprintf(text, size, "CR%" PRIu64, value & 15);
	else if (of->from & (DETAILS_FROM_HYPERCALL | DETAILS_FROM_USERSPACE |
			     DETAILS_FROM_WAKEUP))
		snprintf(text, size, "%s%" PRIu64,
			 key->kind == DETAILS_HYPERV ? "hv " :
			 key->kind == DETAILS_XEN    ? "xen " :
						       "",
			 value);
	else
		snprintf(text, size, "0x%" PRIx64, value);
}

void details_key_name(const struct details_of *of,
		      const struct details_key *key, char *name)
{
	const unsigned int from = of->from;
	const uint64_t value = key->value;

	*name = '\0';
	if (key->kind == DETAILS_NONE)
		return;
	if (from & DETAILS_FROM_MSR)
		FIND(msr_names, value, name);
	else if (from & DETAILS_FROM_PIO)
		FIND(port_names, value, name);
	else if (from & DETAILS_FROM_APIC)
		FIND(apic_names, value, name);
	else if (from & DETAILS_FROM_WAKEUP)
		FIND(wakeup_names, value, name);
	else if (from & DETAILS_FROM_USERSPACE)
		FIND(userspace_names, value, name);
	else if (from & DETAILS_FROM_INFO1)
		name_register(value, name);
	else if (from & DETAILS_FROM_HYPERCALL && key->kind == DETAILS_PLAIN)
		FIND(hypercall_names, value, name);
	else if (key->kind == DETAILS_HYPERV)
		FIND(hyperv_names, value, name);
	else if (from & DETAILS_FROM_VECTOR &&
		 of->vmx == EXIT_REASON_EXTERNAL_INTERRUPT)
		FIND(irq_names, value, name);
	else if (from & DETAILS_FROM_VECTOR)
		FIND(vector_names, value, name);
	else if (key->kind >= DETAILS_MEMORY_READ &&
		 key->kind <= DETAILS_MEMORY_EXECUTE)
		snprintf(name, DETAILS_TEXT_SIZE, "memory");
	else if (from & DETAILS_FROM_MMIO)
		FIND(address_names, value, name);
}

const char *details_kind_text(unsigned int kind)
{
	static const char *const texts[DETAILS_KINDS] = {
		[DETAILS_READ] = "read",
		[DETAILS_WRITE] = "write",
		[DETAILS_EXECUTE] = "execute",
		[DETAILS_MEMORY_READ] = "read",
		[DETAILS_MEMORY_WRITE] = "write",
		[DETAILS_MEMORY_EXECUTE] = "execute",
		[DETAILS_DOORBELL] = "doorbell",
	};

	return kind < DETAILS_KINDS && texts[kind] ? texts[kind] : "";
}
