/* SPDX-License-Identifier: GPL-2.0 */
/* The VM of 'exitstat doctor --measure': its memory and its programs, guest.S. */
#ifndef DOCTOR_GUEST_H
#define DOCTOR_GUEST_H

/* Guest-physical addresses. */
#define GUEST_GDT 0x0
#define GUEST_IDT 0x800
#define GUEST_STACK 0x1000
#define GUEST_CODE 0x1000
#define GUEST_MEMORY 0x2000

#define GUEST_CODE_SELECTOR 0x08
#define GUEST_DATA_SELECTOR 0x10

/* The PIC's line 5, which stays high, and its vector. */
#define GUEST_IRQ 5
#define GUEST_VECTOR 0x25

/* Ports that no device of KVM has: a round trip, and the end of the program. */
#define GUEST_PORT_VMM 0xe0
#define GUEST_PORT_END 0xe4

#ifndef __ASSEMBLER__
/* 32-bit code for GUEST_CODE.  EDI is how many rounds a program takes. */
extern const unsigned char guest_begin[], guest_end[];
extern const unsigned char guest_cpuid[], guest_port_kvm[], guest_port_vmm[],
	guest_hlt[];
/* What handles GUEST_VECTOR. */
extern const unsigned char guest_interrupt[];
#endif

#endif
