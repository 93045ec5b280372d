// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/message.h"
#include "view/lines.h"
#include "view/output.h"

static const int reason_ids[] = {
	COL_REASON,	COL_NAME,   COL_EXITS,		COL_EXITS_SHARE,
	COL_EXITS_RATE, COL_HANDLE, COL_HANDLE_AVERAGE, COL_HANDLE_SHARE,
	COL_USER,	COL_WAIT,   COL_PREEMPTED,	COL_L2_EXITS,
	COL_L2_HANDLE,	-1,
};

static const int vm_ids[] = {
	COL_VM,		COL_VM_NAME,	COL_VCPU,  COL_VCPUS,  COL_EXITS,
	COL_EXITS_RATE, COL_LOST_SHARE, COL_GUEST, COL_HANDLE, COL_USER,
	COL_WAIT,	COL_PREEMPTED,	-1,
};

/* A file of values is for programs, so it always has the same columns. */
static const int csv_reason_ids[] = {
	COL_TIME,      COL_SECONDS,  COL_SCOPE,	    COL_VM,
	COL_VM_NAME,   COL_VCPU,     COL_REASON,    COL_NAME,
	COL_EXITS,     COL_HANDLE,   COL_USER,	    COL_WAIT,
	COL_PREEMPTED, COL_L2_EXITS, COL_L2_HANDLE, -1,
};

static const int csv_vm_ids[] = {
	COL_TIME,    COL_SECONDS, COL_SCOPE, COL_VM,	    COL_VM_NAME,
	COL_VCPU,    COL_VCPUS,	  COL_EXITS, COL_GUEST,	    COL_LOST,
	COL_HANDLE,  COL_USER,	  COL_WAIT,  COL_PREEMPTED, COL_FAILED_ENTRIES,
	COL_CLAMPED, -1,
};

/* Most hosts have no nested guests, and so no use for these columns. */
static bool has_l2(const struct exit_snapshot *snap)
{
	size_t i;

	for (i = 0; i < snap->nr_rows; i++) {
		if (snap->rows[i].counts[COUNT_L2_EXITS] ||
		    snap->rows[i].counts[COUNT_L2_HANDLE_CYCLES])
			return true;
	}
	return false;
}

/* Would a column have a value in any of these scopes? */
static bool is_useful(int id, const struct output *output,
		      const struct exit_scan *scan,
		      const struct exit_snapshot *snap)
{
	switch (id) {
	case COL_EXITS_RATE:
		return scan->interval;
	case COL_USER:
		return snap->has[COUNT_USER_CYCLES];
	case COL_WAIT:
		return snap->has[COUNT_WAIT_CYCLES];
	case COL_PREEMPTED:
		return snap->has[COUNT_PREEMPTED_CYCLES];
	case COL_L2_EXITS:
		return snap->has[COUNT_L2_EXITS] && has_l2(snap);
	case COL_L2_HANDLE:
		return snap->has[COUNT_L2_HANDLE_CYCLES] && has_l2(snap);
	case COL_VCPU:
		return output->args->vcpus;
	}
	return true;
}

/* Begin with the columns that have something to say here. */
static void init_layout(struct layout *layout, const struct output *output,
			const struct table *table, const int *ids,
			const struct exit_scan *scan,
			const struct exit_snapshot *snap)
{
	int useful[MAX_COLUMNS];
	size_t nr = 0;

	for (; *ids >= 0; ids++) {
		if (is_useful(*ids, output, scan, snap))
			useful[nr++] = *ids;
	}
	useful[nr] = -1;
	layout_init(layout, table, useful, output->args->columns,
		    output->args->ns);
}

static void print_heading(FILE *out, const struct output *output,
			  const struct exit_scan *scan,
			  const struct exit_scope *scope)
{
	const struct exit_snapshot *snap = &scope->snap;
	char time[32];

	if (output->title)
		fprintf(out, "%s, ", output->title);
	if (scope->kind == SCOPE_HOST)
		fputs("host", out);
	else if (!*scope->vm)
		fputs("this VM", out);
	else
		fprintf(out, "VM %s", scope->vm);
	if (*scope->name)
		fprintf(out, " %s", scope->name);
	if (scope->kind == SCOPE_VCPU)
		fprintf(out, " vCPU %" PRIu32, scope->vcpu);

	fprintf(out, ": %s, TSC %" PRIu32 ".%03" PRIu32 " MHz", snap->isa,
		snap->tsc_khz / 1000, snap->tsc_khz % 1000);
	if (scan->interval) {
		fprintf(out, ", %.3f s", scan->interval / 1e9);
		if (scan->realtime && !output->title) {
			format_time(scan->realtime, time);
			fprintf(out, " until %s", time);
		}
	}
	if (scan->interval && scope->is_new)
		fputs(", new", out);
	if (snap->failed_entries)
		fprintf(out, ", failed entries %" PRIu64, snap->failed_entries);
	if (snap->clamped)
		fprintf(out, ", clamped %" PRIu64, snap->clamped);
	if (!snap->nr_rows && !(snap->whole[COUNT_EXITS] > 0))
		fputs(scan->interval ? ", no exits" : ", no exits so far", out);
	fputc('\n', out);
}

/* What became of the vCPUs' time. */
static void print_time(FILE *out, const struct exit_snapshot *snap)
{
	struct exit_time time;
	double scale;

	if (!snapshot_time(snap, &time))
		return;

	scale = 100 / exit_time_all(&time);
	fprintf(out,
		"vCPU time: guest %.2f %%, handle %.2f %%, user %.2f %%, wait %.2f %%, preempted %.2f %%\n",
		scale * time.guest, scale * time.handle, scale * time.user,
		scale * time.wait, scale * time.preempted);
}

static bool print_reasons(FILE *out, struct output *output,
			  const struct exit_scan *scan,
			  const struct exit_scope *scope)
{
	const struct arguments *args = output->args;
	const size_t nr = scope->snap.nr_rows;
	struct exit_line *lines =
		reason_lines(scan, scope, args->sort, args->ns);
	struct layout layout;
	bool ok;

	if (!lines)
		return false;

	line_init(&lines[nr], scan, scope, NULL, args->ns);
	if (output->nr_printed++)
		fputc('\n', out);
	print_heading(out, output, scan, scope);
	print_time(out, &scope->snap);
	init_layout(&layout, output, &reason_table_columns, reason_ids, scan,
		    &scope->snap);
	ok = table_print(out, &layout, lines, nr + 1, sizeof(*lines));
	free(lines);
	return ok;
}

/* A line for each VM and vCPU. */
static struct exit_line *vm_lines(const struct output *output,
				  const struct exit_scan *scan)
{
	const struct arguments *args = output->args;
	struct exit_line *lines = calloc(scan->nr_scopes + 1, sizeof(*lines));
	size_t i;

	if (!lines)
		return NULL;
	for (i = 0; i < scan->nr_scopes; i++)
		line_init(&lines[i], scan, &scan->scopes[i], NULL, args->ns);
	/* This is for output_scan(); in order, nothing moves any more. */
	table_sort(&vm_table_columns, args->sort, lines, scan->nr_scopes,
		   sizeof(*lines));
	return lines;
}

static bool print_vms(FILE *out, struct output *output,
		      const struct exit_scan *scan)
{
	static const struct exit_snapshot all = {
		.has = { [0 ... NR_COUNTS - 1] = true },
	};
	struct exit_line *lines = vm_lines(output, scan);
	struct layout layout;
	bool ok;

	if (!lines)
		return false;

	if (output->nr_printed++)
		fputc('\n', out);
	init_layout(&layout, output, &vm_table_columns, vm_ids, scan, &all);
	ok = table_print(out, &layout, lines, scan->nr_scopes, sizeof(*lines));
	free(lines);
	return ok;
}

bool print_scan_table(FILE *out, struct output *output,
		      const struct exit_scan *scan)
{
	size_t i;

	if (output->vms)
		return print_vms(out, output, scan);

	for (i = 0; i < scan->nr_scopes; i++) {
		if (!print_reasons(out, output, scan, &scan->scopes[i]))
			return false;
	}
	return true;
}

bool print_scan_csv(FILE *out, struct output *output,
		    const struct exit_scan *scan)
{
	const struct table *table = output->vms ? &vm_table_columns :
						  &reason_table_columns;
	const struct arguments *args = output->args;
	struct exit_line *lines;
	struct layout layout;
	size_t i;

	layout_init(&layout, table, output->vms ? csv_vm_ids : csv_reason_ids,
		    args->columns, args->ns);
	if (!output->nr_printed++)
		csv_print_head(out, &layout);

	if (output->vms) {
		lines = vm_lines(output, scan);
		if (!lines)
			return false;
		csv_print_lines(out, &layout, lines, scan->nr_scopes,
				sizeof(*lines));
		free(lines);
		return true;
	}

	for (i = 0; i < scan->nr_scopes; i++) {
		lines = reason_lines(scan, &scan->scopes[i], args->sort,
				     args->ns);
		if (!lines)
			return false;
		csv_print_lines(out, &layout, lines,
				scan->scopes[i].snap.nr_rows, sizeof(*lines));
		free(lines);
	}
	return true;
}

/* Put the scopes in the order in which a list shows them. */
static bool sort_scopes(const struct output *output, struct exit_scan *scan)
{
	struct exit_line *lines = vm_lines(output, scan);
	struct exit_scope *sorted =
		malloc((scan->nr_scopes + 1) * sizeof(*sorted));
	bool ok = lines && sorted;
	size_t i;

	for (i = 0; ok && i < scan->nr_scopes; i++)
		sorted[i] = *lines[i].scope;
	if (ok)
		memcpy(scan->scopes, sorted, scan->nr_scopes * sizeof(*sorted));
	free(lines);
	free(sorted);
	return ok;
}

static bool print_scan(FILE *out, struct output *output,
		       const struct exit_scan *scan)
{
	switch (output->args->format) {
	case OUTPUT_JSON:
		return print_scan_json(out, output, scan);
	case OUTPUT_CSV:
		return print_scan_csv(out, output, scan);
	case OUTPUT_OPENMETRICS:
		return print_scan_metrics(out, output, scan, false);
	case OUTPUT_TABLE:
		break;
	}
	if (output->args->textfile)
		return print_scan_metrics(out, output, scan, true);
	return print_scan_table(out, output, scan);
}

static int cannot_write(const char *path, int error)
{
	return fail(STATUS_ERROR, "cannot write %s: %s", path, strerror(error));
}

int output_file_open(struct output_file *file, const char *path)
{
	struct stat st;
	mode_t mask;
	int fd;

	file->path = path;
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return fail(
			STATUS_ERROR,
			"%s is not a regular file: name one that can be replaced",
			path);
	/* Not an ending that a collector of such files looks for. */
	if ((size_t)snprintf(file->temporary, sizeof(file->temporary),
			     "%s.XXXXXX", path) >= sizeof(file->temporary))
		return cannot_write(path, ENAMETOOLONG);

	fd = mkostemp(file->temporary, O_CLOEXEC);
	if (fd < 0)
		return cannot_write(path, errno);
	mask = umask(0);
	umask(mask);
	fchmod(fd, 0644 & ~mask);

	file->stream = fdopen(fd, "w");
	if (file->stream)
		return STATUS_OK;
	close(fd);
	unlink(file->temporary);
	return out_of_memory();
}

int output_file_commit(struct output_file *file)
{
	FILE *stream = file->stream;
	int error = 0;

	if (fflush(stream) || ferror(stream) || fsync(fileno(stream)))
		error = errno;
	fclose(stream);
	if (!error && rename(file->temporary, file->path))
		error = errno;
	if (!error)
		return STATUS_OK;

	unlink(file->temporary);
	return cannot_write(file->path, error);
}

void output_file_abort(struct output_file *file)
{
	fclose(file->stream);
	unlink(file->temporary);
}

/* Rows that --reason leaves out go, and VMs come in the order of --sort. */
static int prepare_scan(const struct output *output, struct exit_scan *scan)
{
	const struct arguments *args = output->args;
	size_t i;

	for (i = 0; i < scan->nr_scopes; i++) {
		struct exit_snapshot *snap = &scan->scopes[i].snap;

		if (args->ns && !snap->tsc_khz)
			return fail(
				STATUS_ERROR,
				"the TSC's frequency is not known here: use --units cycles");
		snapshot_filter(snap, args->reasons, args->nr_reasons);
	}

	if (output->vms && args->sort && scan->nr_scopes &&
	    !sort_scopes(output, scan))
		return out_of_memory();
	return STATUS_OK;
}

int output_scan(struct output *output, struct exit_scan *scan)
{
	const char *textfile = output->args->textfile;
	struct output_file file;
	int status = prepare_scan(output, scan);

	if (!status && textfile)
		status = output_file_open(&file, textfile);
	if (status)
		return status;

	/* main() looks for errors of stdout. */
	if (!print_scan(textfile ? file.stream : stdout, output, scan)) {
		if (textfile)
			output_file_abort(&file);
		return out_of_memory();
	}
	return textfile ? output_file_commit(&file) : STATUS_OK;
}
