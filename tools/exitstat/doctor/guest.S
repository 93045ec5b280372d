/* SPDX-License-Identifier: GPL-2.0 */
/* Loops of one exit each, for 32 bits without paging. */
#include "doctor/guest.h"

	.section .note.GNU-stack, "", @progbits
	.section .rodata
	.code32

#define GLOBAL(name) .globl name; name:
#define ADDRESS(label) (label - guest_begin + GUEST_CODE)

GLOBAL(guest_begin)
GLOBAL(guest_cpuid)
1:	xor	%eax, %eax
	cpuid
	dec	%edi
	jnz	1b
	jmp	done

/* The PIC's mask, which KVM's own PIC answers. */
GLOBAL(guest_port_kvm)
1:	in	$0x21, %al
	dec	%edi
	jnz	1b
	jmp	done

GLOBAL(guest_port_vmm)
1:	out	%al, $GUEST_PORT_VMM
	dec	%edi
	jnz	1b
	jmp	done

/*
 * Halt while an interrupt is pending: KVM goes on at once.  It stays pending,
 * for the line is level-triggered and high and the PIC ends it by itself, so no
 * halt is without end; the handler returns with interrupts off.
 */
GLOBAL(guest_hlt)
	mov	$(1 << GUEST_IRQ), %al
	mov	$0x4d0, %dx
	out	%al, %dx
	mov	$0x11, %al
	out	%al, $0x20
	mov	$(GUEST_VECTOR - GUEST_IRQ), %al
	out	%al, $0x21
	mov	$4, %al
	out	%al, $0x21
	mov	$3, %al
	out	%al, $0x21
	mov	$(0xff & ~(1 << GUEST_IRQ)), %al
	out	%al, $0x21
1:	sti
halt:	hlt
	dec	%edi
	jnz	1b
	mov	$0xff, %al
	out	%al, $0x21
done:	out	%al, $GUEST_PORT_END

/*
 * The interrupt may have come before HLT, if what holds it off behind STI was lost
 * (QEMU's SVM does that): that round is done, and nothing would end the HLT now.
 */
GLOBAL(guest_interrupt)
	cmpl	$ADDRESS(halt), (%esp)
	jne	1f
	incl	(%esp)
1:	andl	$~0x200, 8(%esp)
	iret
GLOBAL(guest_end)
