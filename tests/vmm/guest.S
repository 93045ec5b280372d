/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's programs, see guest.h.  Each makes exactly the exits that its
 * name says: that is why they touch no memory that they need not touch.
 */
#include "guest.h"

#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC_EOI 0x80b
#define PIT_CHANNEL0 0x40
/* The hypercall that does nothing. */
#define KVM_HC_VAPIC_POLL_IRQ 1

	.macro	program name
	.globl	\name
\name:
	.endm

	.macro	next_or_done label
	dec	%r8
	jnz	\label
	jmp	loop_done
	.endm

	/* Clobbers eax, ecx and edx. */
	.macro	set_deadline
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	add	%r9, %rax
	mov	%rax, %rdx
	shr	$32, %rdx
	mov	$MSR_TSC_DEADLINE, %ecx
	wrmsr
	.endm

	.section .rodata
	.balign	16
program guest_begin

program guest_timed
	mov	%rax, %r14
	mov	%rdx, %r15
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, %r12
	mov	%r14, %rax
	mov	%r15, %rdx
	jmp	*%r13

program guest_cpuid
	xor	%eax, %eax
	xor	%ecx, %ecx
	cpuid
	next_or_done guest_cpuid

program guest_pio_kernel
	in	$PIT_CHANNEL0, %al
	next_or_done guest_pio_kernel

program guest_pio_user
	out	%al, $GUEST_PORT_USER
	next_or_done guest_pio_user

program guest_pio_slow
	out	%al, $GUEST_PORT_SLOW
	next_or_done guest_pio_slow

program guest_mmio
	mov	%eax, (%r9)
	next_or_done guest_mmio

program guest_wrmsr
	wrmsr
	next_or_done guest_wrmsr

program guest_vmcall
	mov	$KVM_HC_VAPIC_POLL_IRQ, %eax
	vmcall
	next_or_done guest_vmcall

program guest_vmmcall
	mov	$KVM_HC_VAPIC_POLL_IRQ, %eax
	vmmcall
	next_or_done guest_vmmcall

program guest_cr8
	mov	%rax, %cr8
	next_or_done guest_cr8

program guest_deadline
	set_deadline
	next_or_done guest_deadline

program guest_hlt
	set_deadline
	/* STI takes effect after HLT: the interrupt cannot come before it. */
	sti
	hlt
	cli
	next_or_done guest_hlt

program guest_hlt_wake
	hlt
	next_or_done guest_hlt_wake

program guest_cpuid_once
	cpuid
	jmp	done

program guest_spin
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	add	%rax, %r9
1:	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	cmp	%r9, %rax
	jb	1b
	jmp	loop_done

program guest_touch
	xor	%edi, %edi
1:	lock orb $0, (%rdi)
	add	$4096, %rdi
	dec	%r8
	jnz	1b
	mov	%eax, (%r9)
	jmp	done

loop_done:
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	sub	%r12, %rax
	mov	%rax, %r12
done:
	out	%al, $GUEST_PORT_DONE
	jmp	done

/* Interrupts guest_hlt only, which keeps nothing in these registers. */
program guest_timer
	mov	$MSR_X2APIC_EOI, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	iretq

/* Interrupts guest_hlt_wake. */
program guest_nmi
	iretq

program guest_end
	.section .note.GNU-stack, "", @progbits
