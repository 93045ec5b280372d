// SPDX-License-Identifier: GPL-2.0
/*
 * What the exit reasons of Intel and AMD mean.  Each reason that KVM can show is in
 * one of these, and each key of @sources below; a test checks both.  Paths are those
 * of Linux 6.12 and 7.3, whose code was read for it.
 */
#include "model/explain.h"

const struct explain_source explain_sources[] = {
	{ "vmx.c", "arch/x86/kvm/vmx/vmx.c" },
	{ "nested", "arch/x86/kvm/vmx/nested.c, arch/x86/kvm/svm/nested.c" },
	{ "svm.c", "arch/x86/kvm/svm/svm.c" },
	{ "sev.c", "arch/x86/kvm/svm/sev.c" },
	{ "avic.c", "arch/x86/kvm/svm/avic.c" },
	{ "lapic.c", "arch/x86/kvm/lapic.c" },
	{ "x86.c", "arch/x86/kvm/x86.c" },
	{ "x86.h", "arch/x86/kvm/x86.h" },
	{ "cpuid.c", "arch/x86/kvm/cpuid.c" },
	{ "mmu", "Documentation/virt/kvm/x86/mmu.rst" },
	{ "api", "Documentation/virt/kvm/api.rst" },
	{ "halt", "Documentation/virt/kvm/halt-polling.rst" },
	{ "ghalt", "Documentation/virt/guest-halt-polling.rst" },
	{ "hc", "Documentation/virt/kvm/x86/hypercalls.rst" },
	{ "kparam", "Documentation/admin-guide/kernel-parameters.txt" },
	{ "pi_timer",
	  "Linux commit 0c5f81dad46c, KVM: LAPIC: Inject timer interrupt via posted interrupt" },
	{ "hv", "QEMU, Hyper-V Enlightenments, docs/system/i386/hyperv.rst" },
	{ "sdm", "Intel SDM vol. 3, appendix C, VMX basic exit reasons" },
	{ "apm", "AMD APM vol. 2, appendix C, SVM intercept exit codes" },
	{},
};

const struct explanation explanations[] = {
	{
		.vmx = { { 0, 1 } },
		.svm = { { 0x40, 32 }, { 0x61, 1 } },
		.what = "The guest raised an exception that KVM looks at, or an NMI for the host came.",
		.causes =
			"NMIs are the host's perf and hard-lockup watchdog. Of exceptions KVM intercepts #UD, #MC, #DB, #AC (split locks), #GP where it emulates the VMware backdoor, #NM with dynamic XFEATUREs, and #PF only without EPT or NPT.",
		.normal = "a few a second, at the watchdog's rate",
		.which =
			"'exitstat details' shows the vector on VMX; on SVM the vector is in the name, and NMIs have a reason of their own.",
		.then = "NMI: stop perf on the host, or nmi_watchdog=0. #AC: find the guest's program with split locks. #PF: is ept=0 or npt=0 set?",
		.sources = "vmx.c svm.c kparam sdm apm",
	},
	{
		.vmx = { { 1, 1 } },
		.svm = { { 0x60, 1 } },
		.what = "An interrupt for the host came while the guest ran.",
		.causes =
			"The host's tick, reschedule and TLB-flush IPIs, a device's interrupt, or the host's timer that stands for the guest's.",
		.normal = "about the host's HZ for each busy vCPU",
		.which =
			"'exitstat details' shows the vector on VMX; /proc/interrupts of the vCPU's CPU shows the rest.",
		.then = "Move devices' interrupts off the vCPUs' CPUs; isolate these with nohz_full=, where KVM then sends the guest's timer from a housekeeping CPU (pi_inject_timer); use posted interrupts for devices.",
		.sources = "vmx.c svm.c x86.c pi_timer kparam",
	},
	{
		.vmx = { { 2, 1 } },
		.svm = { { 0x7f, 1 } },
		.what = "The guest had a triple fault.",
		.causes = "It crashed, or reboots that way.",
		.normal = "once at a reboot",
		.which = "The guest's console tells.",
		.then = "Look at its console or a dump of it.",
		.sources = "vmx.c svm.c sdm apm",
	},
	{
		.vmx = { { 3, 2 } },
		.svm = { { 0x63, 1 } },
		.what = "A vCPU got an INIT or a startup IPI.",
		.causes = "vCPUs are being started.",
		.normal = "at boot and when vCPUs are plugged",
		.which = "There is nothing more to it.",
		.sources = "sdm apm",
	},
	{
		.vmx = { { 5, 2 } },
		.svm = { { 0x62, 1 } },
		.what = "The firmware's system management interrupt came.",
		.causes = "Firmware and the BMC, which poll or report errors.",
		.normal = "a few an hour",
		.which = "The host's turbostat counts SMIs.",
		.then = "Look through the firmware's settings and what polls the BMC.",
		.sources = "svm.c sdm apm",
	},
	{
		.vmx = { { 7, 1 } },
		.svm = { { 0x64, 1 } },
		.what = "KVM has an interrupt for the guest that could not take one, and asked to be told when it can.",
		.causes =
			"Interrupts that are injected by software, because APICv or AVIC is off.",
		.normal = "where APICv and AVIC are off",
		.which =
			"'exitstat doctor' shows whether APICv or AVIC is on, and what inhibits it in which VMs.",
		.then = "Get APICv (enable_apicv) or AVIC (avic) on, and rid of what inhibits it: a PIT that reinjects, Hyper-V's AutoEOI, a moved APIC.",
		.sources = "vmx.c avic.c x86.c hv",
	},
	{
		.vmx = { { 8, 1 } },
		.svm = { { 0x74, 1 } },
		.what = "KVM has an NMI for the guest that is in another one, and waits for its end.",
		.causes =
			"perf or the NMI watchdog in the guest, where the CPU has no virtual NMIs.",
		.normal = "while the guest is profiled",
		.which =
			"The parameter vnmi of kvm_intel or kvm_amd tells whether there are virtual NMIs.",
		.then = "nmi_watchdog=0 in the guest; a CPU with virtual NMIs.",
		.sources = "vmx.c svm.c",
	},
	{
		.vmx = { { 9, 1 } },
		.svm = { { 0x7d, 1 } },
		.what = "The guest switched tasks by hardware, as 32-bit systems could.",
		.causes = "An old guest.",
		.normal = "never in 64-bit guests",
		.which = "There is nothing more to it.",
		.sources = "vmx.c svm.c sdm",
	},
	{
		.vmx = { { 10, 1 } },
		.svm = { { 0x72, 1 } },
		.what = "The guest ran CPUID, which always exits.",
		.causes =
			"Programs that start (libc, Java, compilers look what the CPU can do), code that measures time and uses it as a barrier, and what asks whether it is in a VM; also who reads exitstat's own leaves.",
		.normal = "in bursts when programs start",
		.which = "'exitstat details' shows the leaves.",
		.then = "Let the program keep the answer; as a barrier LFENCE or SERIALIZE do.",
		.sources = "vmx.c svm.c cpuid.c sdm",
	},
	{
		.vmx = { { 11, 1 } },
		.what = "The guest ran GETSEC.",
		.causes = "Trusted execution, which KVM does not offer.",
		.normal = "never",
		.which = "There is nothing more to it.",
		.sources = "sdm",
	},
	{
		.vmx = { { 12, 1 } },
		.svm = { { 0x78, 1 }, { 0xa6, 1 } },
		.what = "The guest is idle. Its time is waiting, not work.",
		.causes =
			"A vCPU without work; newer AMD CPUs exit only if no interrupt is pending (IDLE_HLT).",
		.normal = "always in an idle guest",
		.which =
			"'exitstat details' shows how many wake-ups polling caught. LOST has no waiting in it.",
		.then = "Nothing for throughput. For the latency of wake-ups, at the price of CPU time: halt polling on the host (halt_poll_ns, or for a VM KVM_CAP_HALT_POLL) or in the guest (cpuidle-haltpoll), or for pinned vCPUs no exits at all (KVM_CAP_X86_DISABLE_EXITS).",
		.sources = "halt ghalt api svm.c kparam",
	},
	{
		.vmx = { { 13, 1 }, { 54, 1 } },
		.svm = { { 0x76, 1 }, { 0x89, 1 } },
		.what = "The guest flushed the caches.",
		.causes =
			"Booting, and drivers of devices without snooping. KVM flushes only if the VM has non-coherent DMA, by a device that is passed through; else it does nothing.",
		.normal = "at boot",
		.which = "Its time per exit tells whether caches are flushed.",
		.then = "Does the device that is passed through snoop, and does the IOMMU control that? Does its driver flush for each buffer?",
		.sources = "x86.c sdm apm",
	},
	{
		.vmx = { { 14, 1 }, { 58, 1 } },
		.svm = { { 0x79, 2 }, { 0xa0, 3 } },
		.what = "The guest dropped translations of addresses.",
		.causes =
			"Shadow paging, where these matter to KVM, or a guest that is a hypervisor.",
		.normal = "never with EPT or NPT, but for nested guests",
		.which = "The parameters ept of kvm_intel and npt of kvm_amd.",
		.then = "Load the module with ept=1 or npt=1.",
		.sources = "vmx.c svm.c",
	},
	{
		.vmx = { { 15, 1 } },
		.svm = { { 0x6f, 1 } },
		.what = "The guest read a performance counter.",
		.causes = "perf in the guest.",
		.normal = "while the guest is profiled",
		.which =
			"'exitstat details' of MSR_WRITE or MSR shows the counters that are programmed.",
		.then = "Profile less; newer kernels can pass counters through (enable_mediated_pmu, 7.x).",
		.sources = "vmx.c svm.c",
	},
	{
		.vmx = { { 16, 1 }, { 51, 1 } },
		.svm = { { 0x6e, 1 }, { 0x87, 1 } },
		.what = "The guest read the TSC, and somebody wants to see that.",
		.causes =
			"KVM asks for it on behalf of a guest that is a hypervisor; RDTSCP also where the VMM hides it from the guest.",
		.normal = "never, but for nested guests",
		.which =
			"The columns of L2 show whether they are nested guests'.",
		.then = "Show the guest RDTSCP; on hosts with TSC scaling a hypervisor need not intercept RDTSC.",
		.sources = "vmx.c svm.c nested",
	},
	{
		.vmx = { { 17, 1 } },
		.svm = { { 0x73, 1 } },
		.what = "The guest ended system management mode.",
		.causes = "Firmware of the guest that handled an SMI.",
		.normal = "at boot, and when the guest's firmware is called",
		.which = "There is nothing more to it.",
		.sources = "svm.c sdm apm",
	},
	{
		.vmx = { { 18, 1 } },
		.svm = { { 0x81, 1 } },
		.what = "The guest called KVM: a paravirtual call.",
		.causes =
			"Linux: waking a vCPU that holds or waits for a lock (KICK_CPU, SCHED_YIELD), IPIs (SEND_IPI), memory of confidential guests (MAP_GPA_RANGE). Windows: TLB flushes, IPIs and long spinning by Hyper-V's calls.",
		.normal = "in Windows, and with paravirtual locks under load",
		.which = "'exitstat details' shows the calls.",
		.then = "KICK_CPU, SCHED_YIELD and long spinning mean that vCPUs wait for CPUs: overcommit less. IPIs: hardware that virtualizes them (enable_ipiv, x2AVIC).",
		.sources = "hc hv x86.c",
	},
	{
		.vmx = { { 19, 9 }, { 50, 1 }, { 53, 1 }, { 59, 1 } },
		.svm = { { 0x80, 1 }, { 0x82, 5 } },
		.what = "The guest is a hypervisor, and ran an instruction of one.",
		.causes = "Nested virtualization.",
		.normal = "always in such guests",
		.which = "The columns of L2 show the exits of its guests.",
		.then = "Fewer exits of the nested guest, as each goes to KVM first; huge pages in it; on Intel shadow VMCS (enable_shadow_vmcs), or hv-evmcs for Hyper-V; on AMD vls and vgif.",
		.sources = "nested vmx.c svm.c hv",
	},
	{
		.vmx = { { 28, 1 } },
		.svm = { { 0x00, 32 }, { 0x65, 1 }, { 0x90, 16 } },
		.what = "The guest read or wrote a control register that KVM has a part in.",
		.causes =
			"With EPT or NPT bits of CR0 and CR4 that the host owns, and CR8 where there is no TPR shadow; CR3 only with shadow paging. 'Trap' codes of AMD are those of encrypted guests, after the write.",
		.normal = "at boot",
		.which =
			"The name has the register on SVM; 'exitstat details' shows it on VMX.",
		.then = "CR3: are EPT or NPT off? CR8: flexpriority, APICv. A loop of CR0.TS or CR4: an old guest kernel.",
		.sources = "vmx.c svm.c sdm apm",
	},
	{
		.vmx = { { 29, 1 } },
		.svm = { { 0x20, 32 } },
		.what = "The guest used a debug register for the first time since it was entered.",
		.causes =
			"After it KVM lets the guest have them until they are put away. A lasting rate means that somebody debugs, in the guest or the guest.",
		.normal = "rarely",
		.which = "There is nothing more to it.",
		.then = "Detach debuggers; remove perf's breakpoints.",
		.sources = "vmx.c svm.c",
	},
	{
		.vmx = { { 30, 1 } },
		.svm = { { 0x7b, 1 } },
		.what = "The guest used an I/O port of an emulated device.",
		.causes =
			"0x3f8 a serial console, 0xcf8 and 0xcfc PCI's configuration, 0x608 the ACPI timer of QEMU, 0x40 to 0x43 the PIT, 0x70 the clock, 0x1f0 IDE, legacy virtio's doorbells. A port that QEMU emulates costs a way to userspace and back.",
		.normal = "at boot, and on a console",
		.which = "'exitstat details' shows the ports.",
		.then = "ACPI timer: give the guest kvmclock or the TSC; Windows: hv-time and hv-stimer. Serial: less on the console. IDE: virtio. Legacy virtio: the modern one, whose doorbells KVM answers itself.",
		.sources = "vmx.c svm.c api hv",
	},
	{
		.vmx = { { 31, 1 }, { 84, 1 } },
		.what = "The guest read an MSR that KVM keeps for it.",
		.causes =
			"Agents that watch the guest: 0xe7 and 0xe8 (MPERF, APERF), 0x19c (temperature), 0x606 to 0x641 (energy); Windows without hv-time: 0x40000020.",
		.normal = "with such agents",
		.which = "'exitstat details' shows the MSRs.",
		.then = "Switch off what the agent collects there; hv-time for Windows; APERF and MPERF can be passed through (KVM_X86_DISABLE_EXITS_APERFMPERF).",
		.sources = "vmx.c x86.c api hv",
	},
	{
		.vmx = { { 32, 1 }, { 85, 1 } },
		.what = "The guest wrote an MSR that KVM keeps for it.",
		.causes =
			"Mostly two: 0x6e0 (TSC_DEADLINE), a timer is armed; and 0x830 (x2APIC ICR), an IPI is sent: KVM has a fast path for both. Else Hyper-V's timers (0x400000b0 on), performance counters, 0x48 (SPEC_CTRL).",
		.normal =
			"one for each timer that a busy guest arms, and for each IPI",
		.which = "'exitstat details' shows the MSRs.",
		.then = "Timers: a tickless guest with a lower HZ, fewer short sleeps, hv-stimer-direct. IPIs: IPI virtualization (enable_ipiv), fewer wake-ups across CPUs, smaller VMs. If each is three times as dear as it was: look what toggles SPEC_CTRL.",
		.sources = "vmx.c x86.c lapic.c hv",
	},
	{
		.svm = { { 0x7c, 1 } },
		.what = "The guest read or wrote an MSR that KVM keeps for it.",
		.causes =
			"Writes are mostly two: 0x6e0 (TSC_DEADLINE), a timer is armed; and 0x830 (x2APIC ICR), an IPI is sent: KVM has a fast path for both. Reads are agents': 0xe7 and 0xe8 (MPERF, APERF), 0xc001029b (energy); Windows without hv-time: 0x40000020.",
		.normal =
			"one for each timer that a busy guest arms, and for each IPI",
		.which =
			"'exitstat details' shows the MSRs, and which were read.",
		.then = "Timers: a tickless guest with a lower HZ, fewer short sleeps, hv-stimer-direct. IPIs: AVIC, x2AVIC, fewer wake-ups across CPUs, smaller VMs. Reads: switch off what agents collect there.",
		.sources = "svm.c x86.c lapic.c hv",
	},
	{
		.vmx = { { 33, 2 }, { 41, 1 } },
		.svm = { { 0xfffffffc, 4 } },
		.what = "The guest could not be entered.",
		.causes =
			"Its state is not valid, MSRs could not be loaded, or the machine has a fault.",
		.normal = "never",
		.which =
			"dump_invalid_vmcs of kvm_intel and dump_invalid_vmcb of kvm_amd let the kernel's log have the state.",
		.then = "Report it: a bug of the VMM, of KVM, or of the hardware.",
		.sources = "vmx.c svm.c sdm apm",
	},
	{
		.vmx = { { 36, 1 }, { 39, 1 } },
		.svm = { { 0x8a, 3 } },
		.what = "The guest wanted to idle by MONITOR and MWAIT, and may not.",
		.causes =
			"The VMM shows the instructions but did not allow them; KVM does nothing then, and the guest spins.",
		.normal = "never",
		.which = "There is nothing more to it.",
		.then = "Allow it, for pinned vCPUs (KVM_X86_DISABLE_EXITS_MWAIT), or hide the CPUID bit.",
		.sources = "vmx.c svm.c x86.c api",
	},
	{
		.vmx = { { 37, 1 } },
		.what = "The guest was stepped by one instruction.",
		.causes =
			"Introspection from outside, or KVM itself on the way into a nested guest.",
		.normal = "never",
		.which = "There is nothing more to it.",
		.then = "Stop the introspection.",
		.sources = "vmx.c sdm",
	},
	{
		.vmx = { { 40, 1 } },
		.svm = { { 0x77, 1 } },
		.what = "A vCPU spins with PAUSE, most often on a lock whose holder does not run.",
		.causes =
			"More vCPUs than CPUs, so that holders of locks are preempted.",
		.normal = "rarely, on a host without overcommit",
		.which =
			"PREEMPTED of 'exitstat list' shows VMs that wait for CPUs.",
		.then = "Overcommit less, pin vCPUs, paravirtual locks, hv-spinlocks, smaller VMs. On CPUs that are the VM's own switch it off: ple_gap=0, pause_filter_count=0, or KVM_X86_DISABLE_EXITS_PAUSE.",
		.sources = "vmx.c svm.c x86.h hc hv api",
	},
	{
		.vmx = { { 43, 1 } },
		.what = "The guest lowered its task priority, and an interrupt may be due.",
		.causes = "32-bit Windows.",
		.normal = "in old Windows",
		.which = "There is nothing more to it.",
		.then = "APICv (enable_apicv).",
		.sources = "vmx.c sdm",
	},
	{
		.vmx = { { 44, 1 } },
		.what = "The guest used its APIC by memory, and the CPU does not virtualize that.",
		.causes = "Guests without x2APIC, where APICv is off.",
		.normal = "in old guests",
		.which = "'exitstat details' shows the registers.",
		.then = "x2APIC in the guest; APICv (enable_apicv).",
		.sources = "vmx.c lapic.c sdm",
	},
	{
		.vmx = { { 45, 1 } },
		.what = "The guest ended a level-triggered interrupt that the I/O APIC must know of.",
		.causes = "Devices with INTx interrupts.",
		.normal = "with such devices",
		.which =
			"The guest's /proc/interrupts shows IO-APIC interrupts that rise.",
		.then = "MSI or MSI-X for that device.",
		.sources = "vmx.c lapic.c",
	},
	{
		.vmx = { { 46, 2 } },
		.svm = { { 0x66, 8 }, { 0x70, 2 } },
		.what = "The guest read or wrote a descriptor table's register, flags, or the like.",
		.causes =
			"KVM emulates UMIP on CPUs without it, by intercepting the guest's SGDT, SIDT, SLDT, STR and SMSW.",
		.normal = "never on CPUs with UMIP",
		.which = "There is nothing more to it.",
		.then = "A CPU with UMIP, or a guest that does not set CR4.UMIP.",
		.sources = "vmx.c svm.c apm",
	},
	{
		.vmx = { { 48, 1 } },
		.what = "The guest touched memory for which there is no translation, or that it may not use so.",
		.causes =
			"The first touch of a page; a page that the host took away (swap, KSM, NUMA balancing, a balloon); one that is write-protected while a migration looks what changes; a huge page that was split for the iTLB multihit mitigation.",
		.normal = "at boot, at first touch, and during migration",
		.which =
			"'exitstat details' shows the addresses, and whether they were read, written or executed.",
		.then = "Huge pages and memory that is allocated before; NUMA balancing off for pinned VMs; locked memory. nx_huge_pages is a choice of security.",
		.sources = "mmu vmx.c kparam",
	},
	{
		.vmx = { { 49, 1 } },
		.what = "The guest touched the memory of an emulated device, which KVM marks on purpose.",
		.causes =
			"virtio's doorbells, which an ioeventfd answers quickly; 0xfee00000 on is the APIC, 0xfed00000 the HPET, 0xfec00000 the I/O APIC; else a device's registers, and often a way to userspace and back.",
		.normal = "for virtio's doorbells",
		.which = "'exitstat details' shows the addresses.",
		.then = "Doorbell: vhost, larger batches, packed rings. APIC: x2APIC, APICv. HPET: off, hv-stimer. I/O APIC: MSI. An emulated device: virtio or one that is passed through.",
		.sources = "vmx.c mmu api hv",
	},
	{
		.svm = { { 0x400, 1 } },
		.what = "The guest touched memory for which there is no translation, that it may not use so, or that is an emulated device's.",
		.causes =
			"The first touch of a page; a page that the host took away (swap, KSM, NUMA balancing, a balloon) or write-protected for a migration; a device's registers: virtio's doorbells, 0xfee00000 on the APIC, 0xfed00000 the HPET, 0xfec00000 the I/O APIC.",
		.normal =
			"at boot, at first touch, during migration, and for virtio's doorbells",
		.which =
			"'exitstat details' shows the addresses, and whether they are a device's.",
		.then = "Memory: huge pages, memory that is allocated before, NUMA balancing off for pinned VMs. Doorbell: vhost, larger batches. APIC: x2APIC, AVIC. HPET: off, hv-stimer. An emulated device: virtio or one that is passed through.",
		.sources = "mmu svm.c kparam api hv",
	},
	{
		.vmx = { { 52, 1 } },
		.what = "The CPU counted down to the time for which the guest had armed its timer.",
		.causes =
			"The guest's timers; KVM also uses it to leave at once.",
		.normal = "as often as the guest's timers fire",
		.which =
			"'exitstat details' of MSR_WRITE shows how often they are armed (0x6e0).",
		.then = "As for these; on CPUs with nohz_full= KVM sends the timer's interrupt from another one.",
		.sources = "vmx.c lapic.c pi_timer",
	},
	{
		.vmx = { { 55, 1 } },
		.svm = { { 0x8d, 1 } },
		.what = "The guest chose which registers XSAVE keeps.",
		.causes = "Booting.",
		.normal = "once or twice for each vCPU at boot",
		.which = "There is nothing more to it.",
		.then = "A loop is a guest that is a hypervisor, or a fuzzer.",
		.sources = "vmx.c svm.c",
	},
	{
		.vmx = { { 56, 1 } },
		.svm = { { 0x401, 2 } },
		.what = "The guest wrote a register of its APIC that APICv or AVIC does not finish alone, or sent an IPI to a vCPU that does not run.",
		.causes = "Timers, IPIs to vCPUs that sleep.",
		.normal = "for IPIs to vCPUs that sleep",
		.which = "'exitstat details' shows the registers.",
		.then = "IPI virtualization (enable_ipiv, x2AVIC); vCPUs that poll instead of sleeping (haltpoll).",
		.sources = "vmx.c avic.c lapic.c",
	},
	{
		.vmx = { { 57, 1 }, { 61, 1 } },
		.what = "The guest ran an instruction that the VMM hides from it.",
		.causes = "RDRAND or RDSEED: the guest gets #UD.",
		.normal = "never",
		.which = "There is nothing more to it.",
		.sources = "vmx.c svm.c",
	},
	{
		.vmx = { { 60, 1 }, { 63, 2 }, { 67, 2 } },
		.svm = { { 0x88, 1 }, { 0x8e, 2 } },
		.what = "The guest ran an instruction that KVM lets it have only in part.",
		.causes =
			"SGX's ENCLS; XSAVES and XRSTORS of what is hidden; UMWAIT and TPAUSE that are not allowed; ICEBP; RDPRU; writes of EFER after the fact in encrypted guests.",
		.normal = "rarely",
		.which = "There is nothing more to it.",
		.sources = "vmx.c svm.c sdm apm",
	},
	{
		.vmx = { { 62, 1 } },
		.what = "The log of pages that the guest wrote is full, which has 512 entries.",
		.causes =
			"Live migration, or a backup that looks what changes.",
		.normal = "meanwhile",
		.which = "There is nothing more to it.",
		.then = "Slow the migration down, if the guest must not notice it.",
		.sources = "vmx.c sdm",
	},
	{
		.vmx = { { 65, 2 }, { 69, 2 }, { 72, 2 }, { 76, 6 } },
		.what = "Something of confidential guests, of key locking or of other features that KVM uses in part or not at all.",
		.causes =
			"Guests under TDX ask for what others exit for; LOADIWKEY, ENQCMD, PCONFIG and the like.",
		.normal = "only in guests under TDX",
		.which = "The SDM has what the number stands for.",
		.sources = "sdm",
	},
	{
		.vmx = { { 74, 1 } },
		.svm = { { 0xa5, 1 } },
		.what = "The guest locked the bus, by an atomic access over the border of a cache line.",
		.causes =
			"A program in the guest that accesses memory so; all CPUs wait for it.",
		.normal = "never",
		.which = "The VMM knows: such an exit goes to it.",
		.then = "Find the program. The VMM can limit the rate; split_lock_detect= is the host's policy.",
		.sources = "vmx.c svm.c api kparam",
	},
	{
		.vmx = { { 75, 1 } },
		.what = "The guest let no interrupt through for a long time.",
		.causes = "A guest that tries to hold the CPU.",
		.normal = "never",
		.which = "The VMM's log.",
		.then = "Treat it as an attack.",
		.sources = "vmx.c api",
	},
	{
		.svm = { { 0x75, 1 }, { 0x7e, 1 }, { 0xa3, 2 } },
		.what = "The guest used something of AMD's that KVM intercepts and hardly any guest has.",
		.causes =
			"Software interrupts that are intercepted for nested guests; FERR freezing; MCOMMIT and TLBSYNC.",
		.normal = "never",
		.which = "There is nothing more to it.",
		.sources = "svm.c apm",
	},
	{
		.svm = { { 0x403, 1 },
			 { 0x80000001, 5 },
			 { 0x80000010, 4 },
			 { 0x8000fffd, 1 },
			 { 0xf0000000, 1 } },
		.what = "An encrypted guest asks for what another would exit for.",
		.causes =
			"Its handler of #VC calls KVM: MSRs, ports, CPUID, memory of devices, changes of pages.",
		.normal = "always in such guests",
		.which =
			"The kernel's tracepoints kvm_vmgexit_enter and _exit tell what for.",
		.then = "The remedies for these, inside the guest.",
		.sources = "sev.c svm.c apm",
	},
	{},
};
