// SPDX-License-Identifier: GPL-2.0
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/array.h"
#include "base/file.h"
#include "base/message.h"
#include "details/attach.h"

/* It has the types of rows.h in it. */
#include <details.skel.h>

#define MAX_FORMAT (1 << 16)

struct details {
	struct details_bpf *skel;
};

/* The last line that libbpf or the verifier complained by. */
static char complaint[256];

static int keep_complaint(enum libbpf_print_level level, const char *format,
			  va_list args)
{
	if (level == LIBBPF_WARN)
		vsnprintf(complaint, sizeof(complaint), format, args);
	complaint[strcspn(complaint, "\n")] = '\0';
	return 0;
}

/* "\tfield:unsigned int exit_reason;\toffset:8;\tsize:4;" */
static bool find_field(const char *format, const char *name, unsigned int size,
		       volatile const unsigned int *at)
{
	unsigned int offset, bytes;
	char field[64];
	const char *found;

	snprintf(field, sizeof(field), " %s;", name);
	found = strstr(format, field);
	if (!found ||
	    sscanf(found + strlen(field), " offset:%u; size:%u;", &offset,
		   &bytes) != 2 ||
	    bytes != size || offset > MAX_FORMAT)
		return false;
	*(volatile unsigned int *)at = offset;
	return true;
}

/* Where kvm_exit has its fields: kernels differ.  STATUS_OK, or after a message. */
static int find_fields(struct details_bpf *skel)
{
	static const char *const paths[] = {
		"/sys/kernel/tracing/events/kvm/kvm_exit/format",
		"/sys/kernel/debug/tracing/events/kvm/kvm_exit/format",
	};
	char *text = NULL;
	size_t len, i;
	bool found;
	int error = ENOENT;

	for (i = 0; i < ARRAY_SIZE(paths) && !text; i++) {
		text = read_file(paths[i], MAX_FORMAT, &len);
		if (!text && errno != ENOENT)
			error = errno;
	}
	if (!text && (error == EPERM || error == EACCES))
		return fail(STATUS_ERROR,
			    "no permission to read %s: run exitstat as root",
			    paths[0]);
	if (!text)
		return fail(
			STATUS_UNSUPPORTED,
			"there is no %s: load kvm_intel or kvm_amd, and mount tracefs on /sys/kernel/tracing",
			paths[0]);
	found = find_field(text, "exit_reason", 4, &skel->rodata->reason_at) &&
		find_field(text, "isa", 4, &skel->rodata->isa_at) &&
		find_field(text, "guest_rip", 8, &skel->rodata->rip_at) &&
		find_field(text, "info1", 8, &skel->rodata->info1_at) &&
		find_field(text, "intr_info", 4, &skel->rodata->vector_at);
	free(text);
	if (found)
		return STATUS_OK;
	return fail(STATUS_UNSUPPORTED,
		    "this kernel's tracepoint kvm_exit is none that is known");
}

/* Only what the reason needs runs. */
static void choose_programs(struct details_bpf *skel, unsigned int from)
{
	const struct {
		unsigned int from;
		struct bpf_program *program;
	} programs[] = {
		{ DETAILS_FROM_MSR, skel->progs.on_msr },
		{ DETAILS_FROM_PIO, skel->progs.on_pio },
		{ DETAILS_FROM_MMIO, skel->progs.on_mmio },
		{ DETAILS_FROM_MMIO, skel->progs.on_fast_mmio },
		{ DETAILS_FROM_PAGE_FAULT, skel->progs.on_page_fault },
		{ DETAILS_FROM_HYPERCALL, skel->progs.on_hypercall },
		{ DETAILS_FROM_HYPERCALL, skel->progs.on_hyperv_hypercall },
		{ DETAILS_FROM_HYPERCALL, skel->progs.on_xen_hypercall },
		{ DETAILS_FROM_CPUID, skel->progs.on_cpuid },
		{ DETAILS_FROM_APIC, skel->progs.on_apic },
		{ DETAILS_FROM_WAKEUP, skel->progs.on_wakeup },
		{ DETAILS_FROM_USERSPACE, skel->progs.on_userspace },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(programs); i++)
		bpf_program__set_autoload(programs[i].program,
					  programs[i].from & from);
}

static void set_wanted(struct details_bpf *skel,
		       const struct details_wanted *wanted)
{
	size_t i;

	skel->rodata->wanted_reason = wanted->reason;
	skel->rodata->is_svm = wanted->is_svm;
	skel->rodata->any_reason = wanted->from & DETAILS_FROM_USERSPACE;
	skel->rodata->from_vector = wanted->from & DETAILS_FROM_VECTOR;
	skel->rodata->from_info1 = wanted->from & DETAILS_FROM_INFO1;
	skel->rodata->with_rip = wanted->rip;
	skel->rodata->nr_processes = wanted->nr_processes;
	for (i = 0; i < wanted->nr_processes; i++)
		skel->rodata->processes[i] = wanted->processes[i];
	choose_programs(skel, wanted->from);
}

/* Can the quick way tell all that is wanted, and is kvm_exit as it expects it? */
static bool can_be_quick(const struct details_wanted *wanted)
{
	int major, minor;
	struct utsname uts;

	return !wanted->rip &&
	       !(wanted->from & (DETAILS_FROM_VECTOR | DETAILS_FROM_INFO1)) &&
	       !uname(&uts) &&
	       sscanf(uts.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 5 || (major == 5 && minor >= 16));
}

/* STATUS_OK, or after a message; or -1 if only the quick way does not work. */
static int try_to_attach(struct details_bpf **skel,
			 const struct details_wanted *wanted, bool quick)
{
	int status = STATUS_OK, error;

	*skel = details_bpf__open();
	if (!*skel)
		return out_of_memory();
	if (!quick)
		status = find_fields(*skel);
	if (!status) {
		set_wanted(*skel, wanted);
		bpf_program__set_autoload((*skel)->progs.on_exit, !quick);
		bpf_program__set_autoload((*skel)->progs.on_exit_quick, quick);
		*complaint = '\0';
		error = details_bpf__load(*skel);
		if (!error)
			error = details_bpf__attach(*skel);
		if (!error)
			return STATUS_OK;
		if (quick)
			status = -1;
		else if (error == -EPERM || error == -EACCES)
			status = fail(
				STATUS_ERROR,
				"details need eBPF, which is not permitted here: run exitstat as root, without kernel lockdown (%s)",
				complaint);
		else
			status = fail(
				STATUS_ERROR,
				"exits cannot be looked at by eBPF: %s (%s)",
				strerror(-error), complaint);
	}
	details_bpf__destroy(*skel);
	*skel = NULL;
	return status;
}

int details_attach(struct details **details,
		   const struct details_wanted *wanted)
{
	struct details_bpf *skel = NULL;
	int status = -1;

	*details = NULL;
	if (wanted->nr_processes > DETAILS_PROCESSES)
		return fail(STATUS_ERROR,
			    "more than %d VMs: choose fewer, or all",
			    DETAILS_PROCESSES);
	libbpf_set_print(keep_complaint);
	if (can_be_quick(wanted))
		status = try_to_attach(&skel, wanted, true);
	if (status < 0)
		status = try_to_attach(&skel, wanted, false);
	if (status)
		return status;
	*details = calloc(1, sizeof(**details));
	if (!*details) {
		details_bpf__destroy(skel);
		return out_of_memory();
	}
	(*details)->skel = skel;
	skel->bss->counting = true;
	return STATUS_OK;
}

static bool add_row(struct details_rows *rows, const struct details_row *row)
{
	struct details_row *new;

	if (!(rows->nr & (rows->nr - 1))) {
		new = reallocarray(rows->rows, rows->nr ? 2 * rows->nr : 1,
				   sizeof(*new));
		if (!new)
			return false;
		rows->rows = new;
	}
	rows->rows[rows->nr++] = *row;
	return true;
}

/*
 * Those that have left the guest and not come back, as that of a VM that ended: they
 * happened, and are known by now, but their time is not.
 */
static bool read_pending(const struct details_bpf *skel,
			 struct details_rows *rows)
{
	const int fd = bpf_map__fd(skel->maps.threads);
	unsigned int thread, *before = NULL;
	struct details_thread exit;
	struct details_row row = { .count.exits = 1 };

	while (!bpf_map_get_next_key(fd, before, &thread)) {
		before = &thread;
		if (bpf_map_lookup_elem(fd, &thread, &exit))
			return false;
		row.key = exit.key;
		if (exit.active && exit.key.kind != DETAILS_NONE &&
		    !add_row(rows, &row))
			return false;
	}
	return errno == ENOENT;
}

bool details_read(const struct details *details, struct details_rows *rows)
{
	const struct details_bpf *skel = details->skel;
	const int fd = bpf_map__fd(skel->maps.counts);
	struct details_key *before = NULL, key;
	struct details_row row;

	*rows = (struct details_rows){ .nr_missed = skel->bss->nr_missed };
	while (!bpf_map_get_next_key(fd, before, &key)) {
		row = (struct details_row){ .key = key };
		if (bpf_map_lookup_elem(fd, &key, &row.count))
			break;
		if (!add_row(rows, &row))
			goto error;
		before = &rows->rows[rows->nr - 1].key;
	}
	if (errno != ENOENT || !read_pending(skel, rows))
		goto error;
	row = (struct details_row){ .other = true, .count = skel->bss->other };
	if (!row.count.exits || add_row(rows, &row))
		return true;
error:
	free(rows->rows);
	*rows = (struct details_rows){};
	return false;
}

void details_detach(struct details *details)
{
	if (!details)
		return;
	details_bpf__destroy(details->skel);
	free(details);
}
