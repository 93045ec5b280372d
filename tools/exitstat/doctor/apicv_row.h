/* SPDX-License-Identifier: GPL-2.0 */
/* What apicv.bpf.c tells of an open file that is a VM. */
#ifndef DOCTOR_APICV_ROW_H
#define DOCTOR_APICV_ROW_H

#define APICV_NAME 32

struct apicv_row {
	/* the kernel's address of it: several files may be one VM */
	unsigned long long vm;
	/* a bit for each value of enum kvm_apicv_inhibit */
	unsigned long long inhibits;
	/* <pid>-<fd> in debugfs, or empty */
	char name[APICV_NAME];
};

#endif
