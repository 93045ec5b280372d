// SPDX-License-Identifier: GPL-2.0
/* Instead of bpf.c, in a program without libbpf. */
#include <stdio.h>

#include "base/message.h"
#include "source/bpf.h"

static unsigned int probe(const struct source_setup *setup, char *why,
			  size_t size)
{
	(void)setup;
	snprintf(why, size, "this exitstat was built without eBPF");
	return 0;
}

static int open_none(struct source *source)
{
	(void)source;
	return fail(
		STATUS_UNSUPPORTED,
		"this exitstat was built without eBPF: use the package's, or build it without BPF=no");
}

static int read_none(struct source *source, const struct exit_selection *sel,
		     struct exit_scan *scan)
{
	(void)sel;
	(void)scan;
	return open_none(source);
}

static int attach(const struct source_setup *setup)
{
	(void)setup;
	return open_none(NULL);
}

static int detach(void)
{
	return open_none(NULL);
}

const struct source_ops bpf_source = {
	.name = "bpf",
	.abilities = SOURCE_HOST | SOURCE_VMS | SOURCE_VCPUS | SOURCE_LATENCY |
		     SOURCE_COUNTED,
	.probe = probe,
	.open = open_none,
	.read = read_none,
	.attach = attach,
	.detach = detach,
};
