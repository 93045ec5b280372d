// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/clock.h"
#include "base/message.h"
#include "doctor/guest.h"
#include "doctor/measure.h"

/* Exits of a batch, and batches of a turn. */
#define ROUNDS 250
#define BATCHES 4
#define MIN_TURNS 3
#define MAX_TURNS 10
#define MAX_TIME 10000000000ull
/* A batch takes a ms; here it is a hang. */
#define HANG_SECONDS 120

/* Three pages and one page for KVM's own use on VMX. */
#define KVM_TSS 0xfffbd000
#define KVM_IDENTITY_MAP 0xfffbc000
#define CR0_PE 1
#define RFLAGS_FIXED 2

const char *const measured_names[NR_MEASURED] = {
	[MEASURE_CPUID] = "cpuid",
	[MEASURE_PORT_KVM] = "port_kvm",
	[MEASURE_PORT_VMM] = "port_vmm",
	[MEASURE_HLT] = "hlt",
};

struct vm {
	int kvm;
	int vm;
	int vcpu;
	unsigned char *memory;
	struct kvm_run *run;
	size_t run_size;
};

static uint32_t guest_address(const unsigned char *label)
{
	return label - guest_begin + GUEST_CODE;
}

static void put_u64(unsigned char *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}

static void fill_memory(unsigned char *memory)
{
	const uint64_t handler = guest_address(guest_interrupt);

	memcpy(memory + GUEST_CODE, guest_begin, guest_end - guest_begin);
	/* flat segments of 4 GiB: code that may be read, data that may be written */
	put_u64(memory + GUEST_GDT + GUEST_CODE_SELECTOR, 0x00cf9b000000ffff);
	put_u64(memory + GUEST_GDT + GUEST_DATA_SELECTOR, 0x00cf93000000ffff);
	/* a 32-bit interrupt gate */
	put_u64(memory + GUEST_IDT + 8 * GUEST_VECTOR,
		(handler & 0xffff) | GUEST_CODE_SELECTOR << 16 |
			0x8e00ull << 32 | (handler >> 16) << 48);
}

static bool set_segments(int vcpu)
{
	struct kvm_segment segment = {
		.limit = 0xffffffff,
		.selector = GUEST_CODE_SELECTOR,
		.type = 0xb,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return false;
	sregs.cs = segment;
	segment.selector = GUEST_DATA_SELECTOR;
	segment.type = 3;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment;
	sregs.gdt.base = GUEST_GDT;
	sregs.gdt.limit = GUEST_DATA_SELECTOR + 7;
	sregs.idt.base = GUEST_IDT;
	sregs.idt.limit = 8 * (GUEST_VECTOR + 1) - 1;
	sregs.cr0 |= CR0_PE;
	return !ioctl(vcpu, KVM_SET_SREGS, &sregs);
}

static bool make_vm(struct vm *vm)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = GUEST_MEMORY,
	};
	struct kvm_irq_level line = { .irq = GUEST_IRQ, .level = 1 };
	const uint64_t map = KVM_IDENTITY_MAP;
	void *mapped;
	int size;

	vm->vm = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	if (vm->vm < 0)
		return false;
	/* The processors that do not need these take them, too. */
	if (ioctl(vm->vm, KVM_SET_IDENTITY_MAP_ADDR, &map) ||
	    ioctl(vm->vm, KVM_SET_TSS_ADDR, KVM_TSS) ||
	    ioctl(vm->vm, KVM_CREATE_IRQCHIP, 0))
		return false;
	mapped = mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (mapped == MAP_FAILED)
		return false;
	vm->memory = mapped;
	fill_memory(vm->memory);
	region.userspace_addr = (uintptr_t)mapped;
	if (ioctl(vm->vm, KVM_SET_USER_MEMORY_REGION, &region))
		return false;
	vm->vcpu = ioctl(vm->vm, KVM_CREATE_VCPU, 0);
	size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vm->vcpu < 0 || size < 0)
		return false;
	mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu,
		      0);
	if (mapped == MAP_FAILED)
		return false;
	vm->run = mapped;
	vm->run_size = size;
	return set_segments(vm->vcpu) && !ioctl(vm->vm, KVM_IRQ_LINE, &line);
}

static void free_vm(struct vm *vm)
{
	if (vm->run)
		munmap(vm->run, vm->run_size);
	if (vm->memory)
		munmap(vm->memory, GUEST_MEMORY);
	if (vm->vcpu >= 0)
		close(vm->vcpu);
	if (vm->vm >= 0)
		close(vm->vm);
	if (vm->kvm >= 0)
		close(vm->kvm);
}

/* Interrupts KVM_RUN, and does nothing else. */
static void on_alarm(int signal)
{
	(void)signal;
}

static int explain_exit(const struct kvm_run *run)
{
	if (errno == EINTR)
		return fail(STATUS_ERROR,
			    "the VM of --measure was interrupted, or hangs");
	if (errno)
		return fail(STATUS_ERROR, "the VM of --measure cannot run: %s",
			    strerror(errno));
	return fail(
		STATUS_ERROR,
		"the VM of --measure ended with KVM's exit reason %u: this KVM cannot run it",
		run->exit_reason);
}

/* How many cycles a batch takes, which is a whole program. */
static int run_batch(const struct vm *vm, const unsigned char *program,
		     uint64_t *cycles)
{
	struct kvm_regs regs = {
		.rip = guest_address(program),
		.rsp = GUEST_STACK,
		.rflags = RFLAGS_FIXED,
		.rdi = ROUNDS,
	};
	const struct kvm_run *run = vm->run;
	uint64_t begin;

	if (ioctl(vm->vcpu, KVM_SET_REGS, &regs))
		return explain_exit(run);
	alarm(HANG_SECONDS);
	begin = __rdtsc();
	do {
		errno = 0;
		if (ioctl(vm->vcpu, KVM_RUN, 0) ||
		    run->exit_reason != KVM_EXIT_IO)
			return explain_exit(run);
	} while (run->io.port == GUEST_PORT_VMM);
	*cycles = __rdtsc() - begin;
	alarm(0);
	return STATUS_OK;
}

static int run_batches(struct measured *measured, const struct vm *vm,
		       enum count_level level)
{
	static const unsigned char *const programs[NR_MEASURED] = {
		[MEASURE_CPUID] = guest_cpuid,
		[MEASURE_PORT_KVM] = guest_port_kvm,
		[MEASURE_PORT_VMM] = guest_port_vmm,
		[MEASURE_HLT] = guest_hlt,
	};
	uint64_t cycles = 0;
	int status, i, batch;

	for (i = 0; i < NR_MEASURED; i++) {
		double *least = &measured->cycles[i][level];

		for (batch = 0; batch < BATCHES; batch++) {
			status = run_batch(vm, programs[i], &cycles);
			if (status)
				return status;
			if (!*least || (double)cycles / ROUNDS < *least)
				*least = (double)cycles / ROUNDS;
		}
	}
	return STATUS_OK;
}

static int run_level(struct measured *measured, const struct vm *vm,
		     const struct source_setup *setup, enum count_level level)
{
	struct source_setup at = *setup;
	struct source source = {};
	char why[512] = "";
	int status = STATUS_OK;

	at.level = level;
	if (level) {
		/* What it costs is what is asked for here, and not told. */
		capture_messages(why, sizeof(why));
		status = source_open(&source, &at, "bpf", SOURCE_HOST);
		capture_messages(NULL, 0);
		if (status)
			fail(status, "%s", why);
	}
	if (!status)
		status = run_batches(measured, vm, level);
	source_close(&source);
	return status;
}

/* A TSC is not that of another CPU everywhere. */
static void stay_on_this_cpu(void)
{
	const int cpu = sched_getcpu();
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu >= 0 && cpu < CPU_SETSIZE) {
		CPU_SET(cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
}

static int run_turns(struct measured *measured, const struct vm *vm,
		     const struct source_setup *setup)
{
	const int nr_levels = measured->levels ? NR_LEVELS : 1;
	const uint64_t since = clock_now(CLOCK_MONOTONIC), tsc = __rdtsc();
	int turn, level, status;

	for (turn = 0; turn < MAX_TURNS; turn++) {
		if (turn >= MIN_TURNS &&
		    clock_now(CLOCK_MONOTONIC) - since > MAX_TIME)
			break;
		for (level = 0; level < nr_levels; level++) {
			status = run_level(measured, vm, setup, level);
			if (status)
				return status;
		}
	}
	measured->ghz = (double)(__rdtsc() - tsc) /
			(clock_now(CLOCK_MONOTONIC) - since);
	return STATUS_OK;
}

int measure(struct measured *measured, const struct source_setup *setup,
	    bool levels)
{
	const struct sigaction alarmed = { .sa_handler = on_alarm };
	struct vm vm = { .vm = -1, .vcpu = -1 };
	int status;

	*measured = (struct measured){ .levels = levels };
	vm.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm.kvm < 0)
		return fail(
			errno == ENOENT ? STATUS_UNSUPPORTED : STATUS_ERROR,
			"--measure needs a VM, and /dev/kvm cannot be opened: %s",
			strerror(errno));
	stay_on_this_cpu();
	sigaction(SIGALRM, &alarmed, NULL);
	if (make_vm(&vm))
		status = run_turns(measured, &vm, setup);
	else
		status = fail(STATUS_ERROR, "--measure cannot make a VM: %s",
			      strerror(errno));
	free_vm(&vm);
	return status;
}
