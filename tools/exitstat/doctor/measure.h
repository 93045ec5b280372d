/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an exit takes on this host, and what it takes more to count it
 *
 * A VM of its own makes exits of one kind in a loop, while they are not counted,
 * and while eBPF counts them at each level, in turns.  The least of many batches
 * is what counts: all else that happens on a host makes them longer.
 */
#ifndef DOCTOR_MEASURE_H
#define DOCTOR_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "source/source.h"

enum measured_exit {
	MEASURE_CPUID,
	/* a port that KVM knows, and one that the VMM knows */
	MEASURE_PORT_KVM,
	MEASURE_PORT_VMM,
	/* HLT with an interrupt pending */
	MEASURE_HLT,
	NR_MEASURED,
};

/* words of letters and underscores that stay the same */
extern const char *const measured_names[NR_MEASURED];

struct measured {
	/* TSC cycles of a round trip; LEVEL_ANY is as the host was before */
	double cycles[NR_MEASURED][NR_LEVELS];
	/* cycles in a ns */
	double ghz;
	/* other levels than LEVEL_ANY */
	bool levels;
};

/*
 * Takes about ten seconds, or as long as three turns do.  With @levels eBPF counts
 * them, too.  Needs /dev/kvm, and CAP_SYS_ADMIN for levels.  STATUS_OK, or a status
 * after a message.
 */
int measure(struct measured *measured, const struct source_setup *setup,
	    bool levels);

#endif
