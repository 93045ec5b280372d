/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GUEST_H
#define GUEST_H

/* What the guest's code and the VMM agree on. */

/* A write here says that the program is over. */
#define GUEST_PORT_DONE 0xf4
/* A write here is one round trip to a userspace that does nothing. */
#define GUEST_PORT_USER 0xe9
/* A write here is one round trip to a userspace that sleeps. */
#define GUEST_PORT_SLOW 0xe8
/* The vector of the local APIC's timer. */
#define GUEST_TIMER_VECTOR 0x20
#define GUEST_NMI_VECTOR 2

#ifndef __ASSEMBLER__

/* Position-independent 64-bit code, to be copied into the guest. */
extern const unsigned char guest_begin[], guest_end[];

/*
 * Programs.  Each starts at CPL 0 or 3 with interrupts off and IOPL 3, takes
 * its operands in registers, and ends with a write to GUEST_PORT_DONE.
 *
 * guest_timed goes on with the loop whose address is in r13.  When that is over,
 * r12 has the TSC cycles since then.
 */
extern const unsigned char guest_timed[];

/*
 * Loops, r8 times (at least 1):
 */
extern const unsigned char guest_cpuid[]; /* CPUID leaf 0 */
extern const unsigned char guest_pio_kernel[]; /* read the in-kernel PIT */
extern const unsigned char guest_pio_user[]; /* write GUEST_PORT_USER */
extern const unsigned char guest_pio_slow[]; /* write GUEST_PORT_SLOW */
extern const unsigned char guest_mmio[]; /* write 4 bytes at r9 */
extern const unsigned char guest_wrmsr[]; /* write edx:eax to MSR ecx */
extern const unsigned char guest_vmcall[], guest_vmmcall[]; /* a hypercall */
extern const unsigned char guest_cr8[]; /* write rax to CR8 */
/* write TSC + r9 to IA32_TSC_DEADLINE */
extern const unsigned char guest_deadline[];
/* the same, then sleep in HLT until the timer fires */
extern const unsigned char guest_hlt[];
/* sleep in HLT until an NMI comes */
extern const unsigned char guest_hlt_wake[];
/* No loops: */
extern const unsigned char guest_cpuid_once[]; /* CPUID leaf eax, index ecx */
extern const unsigned char guest_spin[]; /* run for r9 TSC cycles */
/* write to each of the first r8 pages, then 4 bytes at r9 */
extern const unsigned char guest_touch[];

/* Handlers of GUEST_TIMER_VECTOR and GUEST_NMI_VECTOR. */
extern const unsigned char guest_timer[], guest_nmi[];

#endif /* __ASSEMBLER__ */

#endif
