// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM whose VM makes exactly known VM-exits, see usage().
 *
 * Whatever makes a VM exit once only (first touches of memory and of MMIO) is
 * done in the set-up, and all memory is locked, so that the steps can be exact.
 */
#define _GNU_SOURCE
#include "guest.h"
#include "statsfd.h"
#include "vmm.h"

#include <cpuid.h>
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define PAGE_SIZE 4096

/* Guest-physical addresses; the guest maps its first GiB one to one. */
#define GPA_GDT 0x0000
#define GPA_IDT 0x1000
#define GPA_PML4 0x2000
#define GPA_PDPT 0x3000
#define GPA_PD 0x4000
#define GPA_TSS 0x5000
#define GPA_CODE 0x6000
/* One page of stack for each vCPU. */
#define GPA_STACK 0x8000
#define MAX_VCPUS 128
#define GPA_END (GPA_STACK + (uint64_t)nr_vcpus * PAGE_SIZE)
/* No memory here. */
#define GPA_MMIO 0x20000000
/* Three pages and one page for KVM's own use on VMX. */
#define GPA_KVM_TSS 0xfffbd000
#define GPA_KVM_IDENTITY_MAP 0xfffbc000

#define SEL_CODE0 0x08
#define SEL_DATA0 0x10
#define SEL_DATA3 0x1b
#define SEL_CODE3 0x23
#define SEL_TSS 0x28

#define PTE_PRESENT_WRITE_USER 7
#define PTE_LARGE 0x80

#define CR0_PE 0x1
#define CR0_ET 0x10
#define CR0_NE 0x20
#define CR0_PG 0x80000000
#define CR4_PAE 0x20
#define EFER_LME 0x100
#define EFER_LMA 0x400
#define RFLAGS_FIXED 0x2
#define RFLAGS_IOPL3 0x3000

#define CPUID1_ECX_X2APIC (1u << 21)
#define CPUID1_ECX_TSC_DEADLINE (1u << 24)
#define APIC_BASE_X2APIC 0x400
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC_SVR 0x80f
#define MSR_X2APIC_ICR 0x830
#define MSR_X2APIC_LVTT 0x832
#define SVR_ENABLED 0x1ff
#define LVTT_TSC_DEADLINE 0x40000
/* A fixed IPI to a physical APIC ID that no vCPU has. */
#define ICR_DEST_NOBODY 0xfffffffe
/* A message that is an NMI for the APIC ID in address bits 12 to 19. */
#define MSI_ADDRESS 0xfee00000
#define MSI_DATA_NMI 0x400

struct vcpu {
	int fd;
	int cpl;
	struct kvm_run *run;
	struct statsfd stats;
	/* Snapshots before and after a step, and the TSC cycles between. */
	uint64_t *before, *after;
	uint64_t tsc;
	/* What the guest's own TSC says of a loop. */
	uint64_t guest_tsc;
	/* The TSC before the last KVM_RUN, and both as of the set-up. */
	uint64_t last_run, setup_run;
	uint64_t *setup;
};

static int kvm_fd, vm_fd;
static unsigned char *memory;
static struct vcpu vcpus[MAX_VCPUS];
static unsigned int nr_vcpus = 1;
static bool verbose;

/* What --cpuid asks for. */
static struct kvm_cpuid_entry2 cpuid_wanted[32];
static unsigned int nr_cpuid_wanted;

/* Steps */

struct arg {
	const char *name;
	uint64_t min, max;
};

#define ARG_LIMIT (1ull << 48)

static const struct arg arg_n = { "n", 1, ARG_LIMIT };
static const struct arg arg_cycles = { "cycles", 0, ARG_LIMIT };
static const struct arg arg_usec = { "usec", 0, 1000000 };
static const struct arg arg_function = { "function", 0, UINT32_MAX };
static const struct arg arg_index = { "index", 0, UINT32_MAX };
static const struct arg arg_column = { "column", 0, UINT32_MAX };
static const struct arg arg_slot = { "slot", 0, UINT32_MAX };
static const struct arg arg_value = { "value", 0, UINT64_MAX };
static const struct arg arg_cpl = { "cpl", 0, 3 };

#define MAX_ARGS 3

struct step {
	const struct step_type *type;
	struct vcpu *vcpu;
	uint64_t arg[MAX_ARGS];
};

struct step_type {
	const char *name;
	void (*run)(const struct step *step);
	/* For run_loop(). */
	const unsigned char *program;
	/* Each turn of the loop goes to userspace. */
	bool to_user;
	const struct arg *args[MAX_ARGS];
	unsigned int nr_required;
	const char *help;
};

/* KVM */

static void open_kvm(void)
{
	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0) {
		bool none = errno == ENOENT || errno == ENXIO ||
			    errno == ENODEV;

		err(none ? EXIT_NO_SUPPORT : EXIT_FAILURE,
		    "/dev/kvm cannot be opened");
	}

	if (KVM_IOCTL(kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		errx(EXIT_NO_SUPPORT, "this KVM has another API version");
	if (!KVM_IOCTL(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_BINARY_STATS_FD))
		errx(EXIT_NO_SUPPORT,
		     "this kernel has no KVM_GET_STATS_FD, use 5.14 or newer");
}

static void put64(uint64_t gpa, uint64_t value)
{
	memcpy(memory + gpa, &value, sizeof(value));
}

/* A present 64-bit interrupt gate; addresses are below 64 KiB. */
static void put_gate(unsigned int vector, const unsigned char *program)
{
	const uint64_t handler = GPA_CODE + (program - guest_begin);

	put64(GPA_IDT + vector * 16,
	      handler | SEL_CODE0 << 16 | 0x8e00ull << 32);
}

static void fill_memory(void)
{
	put64(GPA_GDT + SEL_CODE0, 0x00af9b000000ffff);
	put64(GPA_GDT + SEL_DATA0, 0x00cf93000000ffff);
	put64(GPA_GDT + (SEL_DATA3 & ~7), 0x00cff3000000ffff);
	put64(GPA_GDT + (SEL_CODE3 & ~7), 0x00affb000000ffff);

	put_gate(GUEST_TIMER_VECTOR, guest_timer);
	put_gate(GUEST_NMI_VECTOR, guest_nmi);

	put64(GPA_PML4, GPA_PDPT | PTE_PRESENT_WRITE_USER);
	put64(GPA_PDPT, GPA_PD | PTE_PRESENT_WRITE_USER);
	for (uint64_t i = 0; i < 512; i++)
		put64(GPA_PD + i * 8,
		      i << 21 | PTE_PRESENT_WRITE_USER | PTE_LARGE);

	if (guest_end - guest_begin > GPA_STACK - GPA_CODE)
		errx(EXIT_FAILURE, "the guest's code is too big");
	memcpy(memory + GPA_CODE, guest_begin, guest_end - guest_begin);
}

static void create_vm(void)
{
	const uint64_t identity_map = GPA_KVM_IDENTITY_MAP;
	const struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct kvm_userspace_memory_region region = { .memory_size = GPA_END };

	vm_fd = KVM_IOCTL(kvm_fd, KVM_CREATE_VM, 0);
	KVM_IOCTL(vm_fd, KVM_SET_TSS_ADDR, GPA_KVM_TSS);
	KVM_IOCTL(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	KVM_IOCTL(vm_fd, KVM_CREATE_IRQCHIP, 0);
	KVM_IOCTL(vm_fd, KVM_CREATE_PIT2, &pit);

	/* A page that the host takes away and returns costs an exit. */
	memory = mmap(NULL, GPA_END, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(EXIT_FAILURE, "no memory for the guest");
	if (mlock(memory, GPA_END))
		err(EXIT_FAILURE, "the guest's memory cannot be locked");
	fill_memory();

	region.userspace_addr = (uintptr_t)memory;
	KVM_IOCTL(vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static bool is_same_leaf(const struct kvm_cpuid_entry2 *entry,
			 const struct kvm_cpuid_entry2 *wanted)
{
	if (entry->function != wanted->function)
		return false;
	/* Where one of them has no index, they cannot stand side by side. */
	return !(entry->flags & wanted->flags &
		 KVM_CPUID_FLAG_SIGNIFCANT_INDEX) ||
	       entry->index == wanted->index;
}

static void set_cpuid(const struct vcpu *vcpu)
{
	enum { MAX = 256 };
	struct kvm_cpuid2 *cpuid;
	struct kvm_cpuid_entry2 *e;

	cpuid = calloc(1, sizeof(*cpuid) + MAX * sizeof(*e));
	if (!cpuid)
		err(EXIT_FAILURE, "CPUID");
	cpuid->nent = MAX;
	KVM_IOCTL(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid);

	for (e = cpuid->entries; e < cpuid->entries + cpuid->nent; e++) {
		if (e->function == 1)
			e->ecx |= CPUID1_ECX_X2APIC | CPUID1_ECX_TSC_DEADLINE;
	}

	for (unsigned int i = 0; i < nr_cpuid_wanted; i++) {
		unsigned int kept = 0;

		for (unsigned int j = 0; j < cpuid->nent; j++) {
			e = &cpuid->entries[j];
			if (!is_same_leaf(e, &cpuid_wanted[i]))
				cpuid->entries[kept++] = *e;
		}
		if (kept == MAX)
			errx(EXIT_FAILURE, "too many CPUID entries");
		cpuid->entries[kept++] = cpuid_wanted[i];
		cpuid->nent = kept;
	}

	KVM_IOCTL(vcpu->fd, KVM_SET_CPUID2, cpuid);
	free(cpuid);
}

static void set_msr(const struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = {
		.head.nmsrs = 1,
		.entry.index = index,
		.entry.data = value,
	};

	if (KVM_IOCTL(vcpu->fd, KVM_SET_MSRS, &msrs) != 1)
		errx(EXIT_FAILURE, "KVM refuses MSR 0x%" PRIx32, index);
}

static void set_cs_ss(struct kvm_sregs *sregs, int cpl)
{
	const struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = cpl ? SEL_CODE3 : SEL_CODE0,
		.type = 11,
		.present = 1,
		.dpl = cpl,
		.s = 1,
		.l = 1,
		.g = 1,
	};
	const struct kvm_segment data = {
		.limit = 0xffffffff,
		.selector = cpl ? SEL_DATA3 : SEL_DATA0,
		.type = 3,
		.present = 1,
		.dpl = cpl,
		.s = 1,
		.db = 1,
		.g = 1,
	};

	sregs->cs = code;
	sregs->ss = data;
}

static void set_cpl(struct vcpu *vcpu, int cpl)
{
	struct kvm_sregs sregs;

	if (cpl == vcpu->cpl)
		return;
	KVM_IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	set_cs_ss(&sregs, cpl);
	KVM_IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	vcpu->cpl = cpl;
}

/* To 64-bit mode with paging, at CPL 0, and the local APIC to x2APIC mode. */
static void set_mode(const struct vcpu *vcpu)
{
	const struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;

	KVM_IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	set_cs_ss(&sregs, 0);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss;
	sregs.tr = (struct kvm_segment){
		.base = GPA_TSS,
		.limit = 0x67,
		.selector = SEL_TSS,
		.type = 11,
		.present = 1,
	};
	sregs.ldt = (struct kvm_segment){ .unusable = 1 };
	sregs.gdt.base = GPA_GDT;
	sregs.gdt.limit = SEL_TSS + 16 - 1;
	sregs.idt.base = GPA_IDT;
	sregs.idt.limit = (GUEST_TIMER_VECTOR + 1) * 16 - 1;
	sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	sregs.cr3 = GPA_PML4;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	sregs.apic_base |= APIC_BASE_X2APIC;
	KVM_IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);

	set_msr(vcpu, MSR_X2APIC_SVR, SVR_ENABLED);
	set_msr(vcpu, MSR_X2APIC_LVTT, LVTT_TSC_DEADLINE | GUEST_TIMER_VECTOR);
	KVM_IOCTL(vcpu->fd, KVM_SET_MP_STATE, &runnable);
}

/* Run the guest once.  Returns false if a signal came in between. */
static bool run_once(struct vcpu *vcpu)
{
	if (!ioctl(vcpu->fd, KVM_RUN, 0))
		return true;
	if (errno != EINTR)
		err(EXIT_FAILURE, "KVM_RUN");
	return false;
}

static void __attribute__((noreturn)) unexpected_exit(const struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	struct kvm_regs regs;
	char detail[64] = "";

	KVM_IOCTL(vcpu->fd, KVM_GET_REGS, &regs);
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		snprintf(detail, sizeof(detail), ", port 0x%x", run->io.port);
		break;
	case KVM_EXIT_MMIO:
		snprintf(detail, sizeof(detail), ", address 0x%" PRIx64,
			 (uint64_t)run->mmio.phys_addr);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(detail, sizeof(detail), ", hardware reason 0x%" PRIx64,
			 (uint64_t)
				 run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		snprintf(detail, sizeof(detail), ", suberror %" PRIu32,
			 run->internal.suberror);
		break;
	}
	errx(EXIT_FAILURE,
	     "unexpected exit to userspace: KVM exit reason %" PRIu32
	     "%s, rip 0x%" PRIx64 " (guest code + 0x%" PRIx64 ")",
	     run->exit_reason, detail, (uint64_t)regs.rip,
	     (uint64_t)regs.rip - GPA_CODE);
}

static void sleep_usec(uint64_t usec)
{
	struct timespec left = {
		.tv_sec = usec / 1000000,
		.tv_nsec = usec % 1000000 * 1000,
	};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static uint64_t guest_address(const unsigned char *program)
{
	return GPA_CODE + (program - guest_begin);
}

/*
 * Run a program to its end.  Returns how often it went to userspace before
 * that.
 */
static uint64_t run_program(struct vcpu *vcpu, const unsigned char *program,
			    struct kvm_regs *regs, uint64_t usec)
{
	struct kvm_run *run = vcpu->run;
	uint64_t user = 0;

	regs->rip = guest_address(program);
	regs->rsp = GPA_STACK + (vcpu - vcpus + 1) * PAGE_SIZE;
	regs->rflags = RFLAGS_FIXED | RFLAGS_IOPL3;
	KVM_IOCTL(vcpu->fd, KVM_SET_REGS, regs);

	for (;; user++) {
		while (!run_once(vcpu))
			;

		if (run->exit_reason == KVM_EXIT_MMIO &&
		    run->mmio.phys_addr == GPA_MMIO)
			continue;
		if (run->exit_reason != KVM_EXIT_IO)
			unexpected_exit(vcpu);
		if (run->io.port == GUEST_PORT_DONE)
			break;
		if (run->io.port == GUEST_PORT_SLOW)
			sleep_usec(usec);
		else if (run->io.port != GUEST_PORT_USER)
			unexpected_exit(vcpu);
	}

	/* KVM completes the write in the next KVM_RUN: no guest in this one. */
	vcpu->last_run = __rdtsc();
	run->immediate_exit = 1;
	if (run_once(vcpu))
		unexpected_exit(vcpu);
	run->immediate_exit = 0;

	KVM_IOCTL(vcpu->fd, KVM_GET_REGS, regs);
	return user;
}

static uint64_t *new_snapshot(const struct statsfd *stats)
{
	uint64_t *data = malloc(stats->data_size);

	if (!data)
		err(EXIT_FAILURE, "statistics");
	return data;
}

static void create_vcpu(struct vcpu *vcpu)
{
	const char *why;
	int size;

	vcpu->fd = KVM_IOCTL(vm_fd, KVM_CREATE_VCPU, vcpu - vcpus);
	size = KVM_IOCTL(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	vcpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		err(EXIT_FAILURE, "kvm_run cannot be mapped");
	set_cpuid(vcpu);
	set_mode(vcpu);

	why = statsfd_init(&vcpu->stats,
			   KVM_IOCTL(vcpu->fd, KVM_GET_STATS_FD, 0));
	if (why)
		errx(EXIT_FAILURE, "the vCPU's statistics: %s", why);
	vcpu->setup = new_snapshot(&vcpu->stats);
	vcpu->before = new_snapshot(&vcpu->stats);
	vcpu->after = new_snapshot(&vcpu->stats);
}

static void touch_memory(struct vcpu *vcpu)
{
	struct kvm_regs regs = { .r8 = GPA_END / PAGE_SIZE, .r9 = GPA_MMIO };

	run_program(vcpu, guest_touch, &regs, 0);
}

/* Output */

static void take_snapshot(const struct vcpu *vcpu, uint64_t *data)
{
	if (statsfd_read(&vcpu->stats, data))
		err(EXIT_FAILURE, "the vCPU's statistics cannot be read");
}

static void set_up(struct vcpu *vcpu)
{
	touch_memory(vcpu);
	vcpu->setup_run = vcpu->last_run;
	take_snapshot(vcpu, vcpu->setup);
}

static void print_head(const struct step *step)
{
	const struct step_type *type = step->type;

	printf("{\"step\":\"%s\",\"vcpu\":%d", type->name,
	       (int)(step->vcpu - vcpus));
	for (unsigned int i = 0; i < MAX_ARGS && type->args[i]; i++)
		printf(",\"%s\":%" PRIu64, type->args[i]->name, step->arg[i]);
}

static void print_end(void)
{
	puts("}");
	if (fflush(stdout) || ferror(stdout))
		err(EXIT_FAILURE, "standard output");
}

static void print_measured(const struct step *step)
{
	const struct vcpu *vcpu = step->vcpu;

	print_head(step);
	printf(",\"tsc\":%" PRIu64, vcpu->tsc);
	if (step->type->program)
		printf(",\"guest_tsc\":%" PRIu64, vcpu->guest_tsc);
	printf(",\"delta\":");
	statsfd_print(stdout, &vcpu->stats, vcpu->after, vcpu->before);
	print_end();
}

/* The steps */

static void begin(struct vcpu *vcpu)
{
	take_snapshot(vcpu, vcpu->before);
	vcpu->tsc = __rdtsc();
}

static void end(struct vcpu *vcpu)
{
	vcpu->tsc = __rdtsc() - vcpu->tsc;
	take_snapshot(vcpu, vcpu->after);
}

static bool is_amd(void)
{
	uint32_t eax, ebx, ecx, edx;

	__cpuid(0, eax, ebx, ecx, edx);
	return ebx == signature_AMD_ebx;
}

static void run_loop(const struct step *step)
{
	const struct step_type *type = step->type;
	struct vcpu *vcpu = step->vcpu;
	struct kvm_regs regs = {
		.r8 = step->arg[0],
		.r9 = step->arg[1],
		.r13 = guest_address(type->program),
	};
	uint64_t user;

	if (type->program == guest_vmcall && is_amd()) {
		regs.r13 = guest_address(guest_vmmcall);
	} else if (type->program == guest_mmio) {
		regs.r9 = GPA_MMIO;
	} else if (type->program == guest_spin) {
		regs.r9 = step->arg[0];
	} else if (type->program == guest_wrmsr) {
		regs.rcx = MSR_X2APIC_ICR;
		regs.rdx = ICR_DEST_NOBODY;
		regs.rax = GUEST_TIMER_VECTOR;
	}

	set_cpl(vcpu, 0);
	begin(vcpu);
	user = run_program(vcpu, guest_timed, &regs, step->arg[1]);
	end(vcpu);
	vcpu->guest_tsc = regs.r12;

	/* Do not let the timer fire in a later step. */
	if (type->program == guest_deadline)
		set_msr(vcpu, MSR_TSC_DEADLINE, 0);

	if (user != (type->to_user ? step->arg[0] : 0))
		errx(EXIT_FAILURE,
		     "%s went to userspace %" PRIu64 " times, which is wrong",
		     type->name, user);
	print_measured(step);
}

static void set_scheduler(int policy, int priority)
{
	const struct sched_param param = { .sched_priority = priority };

	if (sched_setscheduler(0, policy, &param))
		err(EXIT_FAILURE, "sched_setscheduler");
}

static atomic_bool waker_stops;

/* By NMIs: other interrupts would want an EOI, which is an exit, too. */
static void *wake_up(void *vcpu)
{
	const struct kvm_msi msi = {
		.address_lo = MSI_ADDRESS | ((struct vcpu *)vcpu - vcpus) << 12,
		.data = MSI_DATA_NMI,
	};

	while (!atomic_load(&waker_stops))
		KVM_IOCTL(vm_fd, KVM_SIGNAL_MSI, &msi);
	return NULL;
}

/*
 * Another thread of this CPU wakes the vCPU, which preempts it, halts, and so
 * lets it go on: the CPU is never idle, and the TSC shows all of the work.
 */
static void run_hlt_wake(const struct step *step)
{
	cpu_set_t all, one;
	pthread_t waker;

	if (sched_getaffinity(0, sizeof(all), &all))
		err(EXIT_FAILURE, "sched_getaffinity");
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		err(EXIT_FAILURE, "sched_setaffinity");

	atomic_store(&waker_stops, false);
	errno = pthread_create(&waker, NULL, wake_up, step->vcpu);
	if (errno)
		err(EXIT_FAILURE, "no thread to wake the vCPU");
	set_scheduler(SCHED_FIFO, 1);

	run_loop(step);

	set_scheduler(SCHED_OTHER, 0);
	atomic_store(&waker_stops, true);
	pthread_join(waker, NULL);

	if (sched_setaffinity(0, sizeof(all), &all))
		err(EXIT_FAILURE, "sched_setaffinity");
}

static void run_invalid_state(const struct step *step)
{
	struct vcpu *vcpu = step->vcpu;
	struct kvm_sregs good, invalid;

	set_cpl(vcpu, 0);
	KVM_IOCTL(vcpu->fd, KVM_GET_SREGS, &good);
	invalid = good;
	invalid.tr.unusable = 1;
	KVM_IOCTL(vcpu->fd, KVM_SET_SREGS, &invalid);
	run_loop(step);
	KVM_IOCTL(vcpu->fd, KVM_SET_SREGS, &good);
}

static void run_fail_entry(const struct step *step)
{
	struct vcpu *vcpu = step->vcpu;
	struct kvm_sregs good, bad;

	/* Neither VMX nor SVM enters a code segment of both 64 and 32 bits. */
	set_cpl(vcpu, 0);
	KVM_IOCTL(vcpu->fd, KVM_GET_SREGS, &good);
	bad = good;
	bad.cs.db = 1;
	KVM_IOCTL(vcpu->fd, KVM_SET_SREGS, &bad);

	begin(vcpu);
	for (uint64_t i = 0; i < step->arg[0]; i++) {
		while (!run_once(vcpu))
			;
		if (vcpu->run->exit_reason != KVM_EXIT_FAIL_ENTRY)
			unexpected_exit(vcpu);
	}
	end(vcpu);

	KVM_IOCTL(vcpu->fd, KVM_SET_SREGS, &good);
	print_measured(step);
}

static struct kvm_regs ask_cpuid(struct vcpu *vcpu, uint32_t function,
				 uint32_t index)
{
	struct kvm_regs regs = { .rax = function, .rcx = index };

	run_program(vcpu, guest_cpuid_once, &regs, 0);
	return regs;
}

static void run_leaf(const struct step *step)
{
	struct kvm_regs regs;

	set_cpl(step->vcpu, step->arg[2]);
	regs = ask_cpuid(step->vcpu, step->arg[0], step->arg[1]);
	print_head(step);
	printf(",\"eax\":%" PRIu32 ",\"ebx\":%" PRIu32 ",\"ecx\":%" PRIu32
	       ",\"edx\":%" PRIu32,
	       (uint32_t)regs.rax, (uint32_t)regs.rbx, (uint32_t)regs.rcx,
	       (uint32_t)regs.rdx);
	print_end();
}

static void run_sweep(const struct step *step)
{
	static const uint32_t functions[] = { 0x4ffffffd, 0x4ffffffc };
	static const uint32_t further[] = {
		444,	    0x3ff,	0x400,	    0x403,
		0x404,	    0x80000000, 0xf0000000, 0xf0000001,
		0xfffffffb, 0xfffffffc, 0xffffffff,
	};
	const char *separator = "";

	set_cpl(step->vcpu, 0);
	print_head(step);
	printf(",\"replies\":[");
	for (size_t f = 0; f < ARRAY_SIZE(functions); f++) {
		for (uint32_t i = 0; i < 256 + ARRAY_SIZE(further); i++) {
			uint32_t nr = i < 256 ? i : further[i - 256];
			struct kvm_regs regs;

			regs = ask_cpuid(step->vcpu, functions[f], nr);
			printf("%s[%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32
			       ",%" PRIu32 ",%" PRIu32 "]",
			       separator, functions[f], nr, (uint32_t)regs.rax,
			       (uint32_t)regs.rbx, (uint32_t)regs.rcx,
			       (uint32_t)regs.rdx);
			separator = ",";
		}
	}
	printf("]");
	print_end();
}

static void run_stats(const struct step *step)
{
	const struct vcpu *vcpu = step->vcpu;

	take_snapshot(vcpu, vcpu->after);
	print_head(step);
	printf(",\"elapsed\":%" PRIu64 ",\"grown\":",
	       vcpu->last_run - vcpu->setup_run);
	statsfd_print(stdout, &vcpu->stats, vcpu->after, vcpu->setup);
	printf(",\"stats\":");
	statsfd_print(stdout, &vcpu->stats, vcpu->after, NULL);
	print_end();
}

static void run_preset(const struct step *step)
{
	static const char file[] =
		"/sys/module/kvm_exit_stats_test/parameters/preset";
	FILE *f = fopen(file, "we");

	if (!f)
		err(errno == ENOENT ? EXIT_NO_SUPPORT : EXIT_FAILURE, "%s",
		    file);
	fprintf(f, "%d %" PRIu64 " %" PRIu64 " %" PRIu64, step->vcpu->fd,
		step->arg[0], step->arg[1], step->arg[2]);
	if (fclose(f))
		err(EXIT_FAILURE, "%s", file);
	print_head(step);
	print_end();
}

static void run_pause(const struct step *step)
{
	int c;

	print_head(step);
	printf(",\"pid\":%d,\"vm\":\"%d-%d\"", getpid(), getpid(), vm_fd);
	print_end();

	do {
		c = getchar();
		if (c == EOF)
			exit(EXIT_SUCCESS);
	} while (c != '\n');
}

static const struct step_type step_types[] = {
	{
		.name = "cpuid",
		.run = run_loop,
		.program = guest_cpuid,
		.args = { &arg_n },
		.nr_required = 1,
		.help = "N CPUID",
	},
	{
		.name = "pio-kernel",
		.run = run_loop,
		.program = guest_pio_kernel,
		.args = { &arg_n },
		.nr_required = 1,
		.help = "N IO_INSTRUCTION, reads of KVM's PIT",
	},
	{
		.name = "pio-user",
		.run = run_loop,
		.program = guest_pio_user,
		.to_user = true,
		.args = { &arg_n },
		.nr_required = 1,
		.help = "N IO_INSTRUCTION, each goes to userspace",
	},
	{
		.name = "pio-slow",
		.run = run_loop,
		.program = guest_pio_slow,
		.to_user = true,
		.args = { &arg_n, &arg_usec },
		.nr_required = 2,
		.help = "the same, and userspace sleeps USEC each time",
	},
	{
		.name = "mmio",
		.run = run_loop,
		.program = guest_mmio,
		.to_user = true,
		.args = { &arg_n },
		.nr_required = 1,
		.help = "N EPT_MISCONFIG (with ept=0 EXCEPTION_NMI), each goes\n"
			"to userspace",
	},
	{
		.name = "wrmsr-icr",
		.run = run_loop,
		.program = guest_wrmsr,
		.args = { &arg_n },
		.nr_required = 1,
		.help = "N MSR_WRITE, in the fastpath: an IPI to nobody",
	},
	{
		.name = "vmcall",
		.run = run_loop,
		.program = guest_vmcall,
		.args = { &arg_n },
		.nr_required = 1,
		.help = "N VMCALL, a hypercall that does nothing",
	},
	{
		.name = "cr8",
		.run = run_loop,
		.program = guest_cr8,
		.args = { &arg_n },
		.nr_required = 1,
		.help = "N writes to CR8, N CR_ACCESS without TPR shadow, else\n"
			"nothing",
	},
	{
		.name = "deadline",
		.run = run_loop,
		.program = guest_deadline,
		.args = { &arg_n, &arg_cycles },
		.nr_required = 2,
		.help = "N MSR_WRITE, in the fastpath if KVM uses the VMX\n"
			"preemption timer: sets the APIC timer, each time\n"
			"CYCLES ahead, which must be more than the step takes",
	},
	{
		.name = "hlt",
		.run = run_loop,
		.program = guest_hlt,
		.args = { &arg_n, &arg_cycles },
		.nr_required = 2,
		.help = "N HLT, each until the timer fires after CYCLES, which\n"
			"must be enough to get to HLT, and 2 N MSR_WRITE: the\n"
			"timer and the EOI (with APICv no exit for the EOI)",
	},
	{
		.name = "hlt-wake",
		.run = run_hlt_wake,
		.program = guest_hlt_wake,
		.args = { &arg_n },
		.nr_required = 1,
		.help = "N HLT, each until another thread of the same CPU sends\n"
			"an NMI",
	},
	{
		.name = "spin",
		.run = run_loop,
		.program = guest_spin,
		.args = { &arg_cycles },
		.nr_required = 1,
		.help = "nothing: stays in the guest for CYCLES",
	},
	{
		.name = "fail-entry",
		.run = run_fail_entry,
		.args = { &arg_n },
		.nr_required = 1,
		.help = "N failed VM-entries, INVALID_STATE, and no last\n"
			"IO_INSTRUCTION",
	},
	{
		.name = "invalid-state",
		.run = run_invalid_state,
		.program = guest_pio_user,
		.to_user = true,
		.args = { &arg_n },
		.nr_required = 1,
		.help = "N + 1 INVALID_STATE and no last IO_INSTRUCTION: KVM\n"
			"emulates pio-user's program, for which kvm_intel needs\n"
			"unrestricted_guest=0",
	},
	{
		.name = "leaf",
		.run = run_leaf,
		.args = { &arg_function, &arg_index, &arg_cpl },
		.nr_required = 2,
		.help = "1 CPUID, and shows the answer; CPL is 0 (default) or 3",
	},
	{
		.name = "sweep",
		.run = run_sweep,
		.help = "reads leaves 0x4ffffffd and 0x4ffffffc for exit numbers\n"
			"0 to 255 and some far above",
	},
	{
		.name = "stats",
		.run = run_stats,
		.help = "does not run the guest, shows all statistics, and\n"
			"how they grew since the set-up (\"grown\"), in \"elapsed\" TSC\n"
			"cycles: from the last KVM_RUN then to the last one now",
	},
	{
		.name = "preset",
		.run = run_preset,
		.args = { &arg_column, &arg_slot, &arg_value },
		.nr_required = 3,
		.help = "does not run the guest, sets a counter of the exit\n"
			"accounting by means of the module exit_stats_preset",
	},
	{
		.name = "pause",
		.run = run_pause,
		.help = "does not run the guest, waits for a line on standard\n"
			"input; at its end the program ends with status 0",
	},
};

/* Command line */

static void usage(void)
{
	puts("Usage: minivmm [OPTION...] STEP...\n"
	     "Make exactly known VM-exits in a VM of its own, step by step.\n"
	     "\n"
	     "After each step a line of JSON shows how all cumulative statistics\n"
	     "of the vCPU grew (\"delta\", from KVM_GET_STATS_FD), and for how\n"
	     "many TSC cycles the step ran (\"tsc\"), and a loop by the guest's\n"
	     "own reading of the TSC (\"guest_tsc\").\n"
	     "\n"
	     "  --vcpus=N    create N vCPUs, 1 (default) to 128; STEP@NR runs\n"
	     "               on vCPU NR, from 0 (default)\n"
	     "  --cpuid=FUNCTION[.INDEX]=EAX,EBX,ECX,EDX\n"
	     "               set that CPUID entry; may be given up to 32 times\n"
	     "  --verbose    say on standard error what is being done\n"
	     "  --help       show this text\n"
	     "\n"
	     "Steps and their VM-exits on VMX.  Each step that runs the guest\n"
	     "ends with one more IO_INSTRUCTION.  EXTERNAL_INTERRUPT and the\n"
	     "like, which the host causes, come on top.\n");

	for (size_t i = 0; i < ARRAY_SIZE(step_types); i++) {
		const struct step_type *t = &step_types[i];

		printf("  %s", t->name);
		for (unsigned int j = 0; j < MAX_ARGS && t->args[j]; j++) {
			printf("%s:", j < t->nr_required ? "" : "[");
			for (const char *c = t->args[j]->name; *c; c++)
				putchar(toupper(*c));
			printf("%s", j < t->nr_required ? "" : "]");
		}
		printf("\n\t");
		for (const char *c = t->help; *c; c++)
			printf(*c == '\n' ? "\n\t" : "%c", *c);
		printf("\n");
	}

	puts("\n"
	     "Numbers are decimal, or hexadecimal with 0x.\n"
	     "\n"
	     "Exit status: 0 all steps done, 1 something failed, 2 wrong\n"
	     "arguments, 77 this kernel has no support.");
}

static void __attribute__((noreturn, format(printf, 1, 2)))
wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vwarnx(format, args);
	va_end(args);
	exit(EXIT_USAGE);
}

/* Parse the number which *s starts with, and move *s behind it. */
static bool parse_number(const char **s, uint64_t min, uint64_t max,
			 uint64_t *value)
{
	char *end;

	bool hex = !strncmp(*s, "0x", 2);

	/* strtoull() would take a sign and white space, too. */
	if (!isdigit((unsigned char)**s))
		return false;
	errno = 0;
	*value = strtoull(*s, &end, hex ? 16 : 10);
	*s = end;
	return !errno && *value >= min && *value <= max;
}

static void parse_cpuid(const char *arg)
{
	struct kvm_cpuid_entry2 *e = &cpuid_wanted[nr_cpuid_wanted];
	uint32_t *out[] = { &e->eax, &e->ebx, &e->ecx, &e->edx };
	const char *s = arg;
	uint64_t value;
	bool ok;

	if (nr_cpuid_wanted++ == ARRAY_SIZE(cpuid_wanted))
		wrong("--cpuid may be given %zu times",
		      ARRAY_SIZE(cpuid_wanted));

	ok = parse_number(&s, 0, UINT32_MAX, &value);
	e->function = value;
	if (ok && *s == '.') {
		s++;
		ok = parse_number(&s, 0, UINT32_MAX, &value);
		e->index = value;
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	}
	for (size_t i = 0; ok && i < ARRAY_SIZE(out); i++) {
		ok = *s++ == (i ? ',' : '=') &&
		     parse_number(&s, 0, UINT32_MAX, &value);
		*out[i] = value;
	}
	if (!ok || *s)
		wrong("--cpuid=%s: use FUNCTION[.INDEX]=EAX,EBX,ECX,EDX", arg);
}

static bool has_name(const char *arg, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(arg, name, n) && !isalnum((unsigned char)arg[n]) &&
	       arg[n] != '-';
}

static void parse_step(const char *arg, struct step *step)
{
	const struct step_type *type = NULL;
	const char *s = arg;
	uint64_t nr = 0;

	for (size_t i = 0; i < ARRAY_SIZE(step_types); i++) {
		if (has_name(arg, step_types[i].name))
			type = &step_types[i];
	}
	if (!type)
		wrong("there is no step %s, see --help", arg);
	step->type = type;
	s += strlen(type->name);

	for (unsigned int i = 0; i < MAX_ARGS && type->args[i]; i++) {
		const struct arg *a = type->args[i];

		if (*s != ':') {
			if (i < type->nr_required)
				wrong("%s: %s is missing", arg, a->name);
			break;
		}
		s++;
		if (!parse_number(&s, a->min, a->max, &step->arg[i]))
			wrong("%s: %s must be from %" PRIu64 " to %" PRIu64,
			      arg, a->name, a->min, a->max);
		if (a == &arg_cpl && step->arg[i] % 3)
			wrong("%s: cpl must be 0 or 3", arg);
	}
	if (*s == '@') {
		s++;
		if (!parse_number(&s, 0, nr_vcpus - 1, &nr))
			wrong("%s: there is no such vCPU, see --vcpus", arg);
	}
	if (*s)
		wrong("%s: '%s' is too much", arg, s);
	step->vcpu = &vcpus[nr];
}

/* Without it the step would be a failed VM-entry. */
static void check_invalid_state(void)
{
	FILE *f = fopen("/sys/module/kvm_intel/parameters/unrestricted_guest",
			"re");
	int c = f ? getc(f) : EOF;

	if (f)
		fclose(f);
	if (c != 'N')
		errx(EXIT_NO_SUPPORT,
		     "invalid-state needs kvm_intel with unrestricted_guest=0");
}

int main(int argc, char **argv)
{
	enum { OPT_VCPUS = 1, OPT_CPUID, OPT_VERBOSE, OPT_HELP };
	static const struct option options[] = {
		{ "vcpus", required_argument, NULL, OPT_VCPUS },
		{ "cpuid", required_argument, NULL, OPT_CPUID },
		{ "verbose", no_argument, NULL, OPT_VERBOSE },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 },
	};
	struct step *steps;
	uint64_t value;
	int opt, nr;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		const char *s = optarg;

		switch (opt) {
		case OPT_VCPUS:
			if (!parse_number(&s, 1, MAX_VCPUS, &value) || *s)
				wrong("--vcpus must be from 1 to %d",
				      MAX_VCPUS);
			nr_vcpus = value;
			break;
		case OPT_CPUID:
			parse_cpuid(optarg);
			break;
		case OPT_VERBOSE:
			verbose = true;
			break;
		case OPT_HELP:
			usage();
			return EXIT_SUCCESS;
		default:
			return EXIT_USAGE;
		}
	}
	argv += optind;
	nr = argc - optind;
	if (!nr)
		wrong("no step given, see --help");

	steps = calloc(nr, sizeof(*steps));
	if (!steps)
		err(EXIT_FAILURE, "steps");
	for (int i = 0; i < nr; i++)
		parse_step(argv[i], &steps[i]);

	open_kvm();
	for (int i = 0; i < nr; i++) {
		if (steps[i].type->run == run_invalid_state)
			check_invalid_state();
	}

	create_vm();
	for (unsigned int i = 0; i < nr_vcpus; i++)
		create_vcpu(&vcpus[i]);
	for (unsigned int i = 0; i < nr_vcpus; i++)
		set_up(&vcpus[i]);
	if (verbose)
		warnx("VM %d-%d is ready", getpid(), vm_fd);

	for (int i = 0; i < nr; i++) {
		if (verbose)
			warnx("step %s", argv[i]);
		steps[i].type->run(&steps[i]);
	}

	for (unsigned int i = 0; i < nr_vcpus; i++) {
		statsfd_destroy(&vcpus[i].stats);
		free(vcpus[i].setup);
		free(vcpus[i].before);
		free(vcpus[i].after);
	}
	free(steps);
	return EXIT_SUCCESS;
}
