/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Of the kernel's headers, what kernel/exit_stats.h needs to be compiled for a
 * process, see native.c.  The accounting's own types are the kernel's: the
 * Makefile takes them from the patched asm/kvm_host.h.
 */
#ifndef SHIM_KVM_HOST_H
#define SHIM_KVM_HOST_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t u64;
typedef uint32_t u32;
typedef uint16_t u16;
typedef uint8_t u8;
typedef int64_t s64;

#define CONFIG_KVM_EXIT_STATS 1

/* libc has another one. */
#undef __always_inline
#define __always_inline inline __attribute__((__always_inline__))
#define __percpu
#define __read_mostly
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define BIT(nr) (1ul << (nr))
#define BIT_ULL(nr) (1ull << (nr))
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))

#define preempt_disable() do { } while (0)
#define preempt_enable() do { } while (0)

/* Marks for objtool. */
#define instrumentation_begin() do { } while (0)
#define instrumentation_end() do { } while (0)

/* As the kernel has it for x86-64. */
static __always_inline int fls64(u64 x)
{
	int bit = -1;

	asm("bsrq %1,%q0" : "+r"(bit) : "rm"(x));
	return bit + 1;
}

static __always_inline unsigned long __fls(unsigned long word)
{
	asm("bsr %1,%0" : "=r"(word) : "rm"(word));
	return word;
}

#include "kvm_exit_types.h"

#define HF_GUEST_MASK BIT(0)

struct dentry;
struct kvm;

/* What the header looks at, and no more. */
struct kvm_vcpu {
	struct kvm *kvm;
	bool wants_to_run, scheduled_out;
	struct {
		u64 hflags;
		u64 last_host_tsc;
	} arch;
	struct {
		struct kvm_exit_counts exit_counts;
	} stat;
	struct kvm_exit_clock exit_clock;
};

#endif
