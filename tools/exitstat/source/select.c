// SPDX-License-Identifier: GPL-2.0
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/message.h"
#include "base/parse.h"
#include "base/text.h"
#include "model/reasons.h"
#include "source/select.h"

/* The @pattern in front of a mark, or at the end of @text. */
static bool is_before(const char *text, const char *pattern, char mark)
{
	const size_t len = strlen(pattern);

	return !strncmp(text, pattern, len) &&
	       (!text[len] || text[len] == mark);
}

static bool is_process(const struct exit_scope *scope, const char *pattern)
{
	uint64_t number;

	return parse_u64(pattern, UINT32_MAX, &number) &&
	       ((number && number == scope->pid) ||
		is_before(scope->vm, pattern, '-'));
}

/* @numbered: VMs that came again have numbers already. */
static bool is_id(const struct exit_scope *scope, const char *pattern,
		  bool numbered)
{
	return is_vm_id(pattern) &&
	       (is_before(scope->vm, pattern, '#') ||
		(!numbered && is_before(pattern, scope->vm, '#')));
}

static enum vm_match match(const struct exit_selection *sel,
			   const struct exit_scope *scope, const char *pattern)
{
	char name[VM_NAME_SIZE];

	/* The one that is shown may be shorter. */
	scope_set_name(name, pattern, strlen(pattern));
	if (*scope->name && !strcmp(scope->name, name))
		return VM_BY_NAME;
	if (*scope->vmid && !strcmp(scope->vmid, pattern))
		return VM_BY_VMID;
	if (is_id(scope, pattern, sel->numbered))
		return VM_BY_ID;
	if (is_process(scope, pattern))
		return VM_BY_PID;
	if (!fnmatch(pattern, scope->vm, 0) ||
	    !fnmatch(pattern, scope->name, 0))
		return VM_BY_PATTERN;
	return VM_NO_MATCH;
}

bool selection_has_vm(const struct exit_selection *sel,
		      const struct exit_scope *vm)
{
	enum vm_match how;
	size_t i;

	for (i = 0; i < sel->nr_vm_patterns; i++) {
		how = match(sel, vm, sel->vm_patterns[i].text);
		if (how && how >= sel->vm_patterns[i].best)
			return true;
	}
	return !sel->nr_vm_patterns;
}

bool selection_has(const struct exit_selection *sel,
		   const struct exit_scope *scope)
{
	if (scope->kind == SCOPE_HOST)
		return sel->host;
	if (scope->kind == SCOPE_VM ?
		    !sel->vms :
		    !sel->vcpus || (sel->vcpu >= 0 && sel->vcpu != scope->vcpu))
		return false;
	return selection_has_vm(sel, scope);
}

/* Another VM could be meant as well, as its number is that. */
static void tell_of_other(const struct exit_selection *sel,
			  struct vm_pattern *pattern,
			  const struct exit_scope *meant,
			  const struct exit_scope *other)
{
	char label[SCOPE_LABEL_SIZE], label_other[SCOPE_LABEL_SIZE];
	struct exit_scope vm = *meant, vm_other = *other;

	vm.kind = vm_other.kind = SCOPE_VM;
	scope_label(&vm, label);
	scope_label(&vm_other, label_other);
	note("%s is taken for %s, and not for %s, of which it is the %s",
	     pattern->text, label, label_other,
	     match(sel, other, pattern->text) == VM_BY_PID ? "process" :
							     "number");
	pattern->told = true;
}

static void find(const struct exit_selection *sel, struct vm_pattern *pattern,
		 const struct exit_scan *vms)
{
	const struct exit_scope *meant = NULL;
	enum vm_match how;
	size_t i;

	for (i = 0; i < vms->nr_scopes; i++) {
		if (vms->scopes[i].kind == SCOPE_HOST)
			continue;
		how = match(sel, &vms->scopes[i], pattern->text);
		if (how && how >= pattern->best) {
			meant = how > pattern->best || !meant ?
					&vms->scopes[i] :
					meant;
			pattern->best = how;
		}
	}
	for (i = 0; meant && i < vms->nr_scopes && !pattern->told; i++) {
		if (vms->scopes[i].kind == SCOPE_HOST ||
		    !strcmp(vms->scopes[i].vm, meant->vm))
			continue;
		how = match(sel, &vms->scopes[i], pattern->text);
		if (how > VM_BY_PATTERN && how < pattern->best)
			tell_of_other(sel, pattern, meant, &vms->scopes[i]);
	}
}

void selection_find(const struct exit_selection *sel,
		    const struct exit_scan *vms)
{
	size_t i;

	for (i = 0; i < sel->nr_vm_patterns; i++)
		find(sel, &sel->vm_patterns[i], vms);
}

void selection_forget(const struct exit_selection *sel)
{
	size_t i;

	for (i = 0; i < sel->nr_vm_patterns; i++) {
		sel->vm_patterns[i].best = VM_NO_MATCH;
		sel->vm_patterns[i].told = false;
	}
}

static bool is_glob(const char *pattern)
{
	const char *bracket = strchr(pattern, '[');

	/* Without its end it is no more than a character. */
	return strpbrk(pattern, "*?") || (bracket && strchr(bracket, ']'));
}

const struct vm_pattern *selection_missing(const struct exit_selection *sel)
{
	size_t i;

	for (i = 0; i < sel->nr_vm_patterns; i++) {
		if (!sel->vm_patterns[i].best &&
		    !is_glob(sel->vm_patterns[i].text))
			return &sel->vm_patterns[i];
	}
	return NULL;
}

void list_vms(const struct exit_scan *vms, char *list, size_t size)
{
	char one[VM_ID_SIZE + VM_NAME_SIZE + 1], more[32];
	size_t i, left = 0;

	*list = '\0';
	for (i = 0; i < vms->nr_scopes; i++) {
		const struct exit_scope *vm = &vms->scopes[i];

		if (vm->kind != SCOPE_VM)
			continue;
		snprintf(one, sizeof(one), "%s%s%s", vm->vm,
			 *vm->name ? " " : "", vm->name);
		/* Leave room for what is left. */
		if (left || strlen(list) + strlen(one) + 40 > size)
			left++;
		else
			text_append(list, size, ", ", one);
	}
	if (left) {
		snprintf(more, sizeof(more), "%zu more", left);
		text_append(list, size, " and ", more);
	}
}

static int vm_has_ended(const char *vm)
{
	return fail(
		STATUS_ERROR,
		"VM %s ended before it was read: only the host's totals, 'exitstat show', still have its exits",
		vm);
}

int selection_check_vms(const struct exit_selection *sel,
			const struct exit_scan *vms)
{
	const struct vm_pattern *missing;
	char list[VM_LIST_SIZE];

	selection_find(sel, vms);
	missing = sel->may_have_ended ? NULL : selection_missing(sel);
	if (!missing)
		return STATUS_OK;
	if (!vms->nr_scopes)
		return fail(STATUS_ERROR,
			    "there is no VM %s: no VM is running now",
			    missing->text);
	list_vms(vms, list, sizeof(list));
	return fail(
		STATUS_ERROR,
		"there is no VM %s: choose one of %s, or see 'exitstat list'",
		missing->text, list);
}

static bool has(const struct exit_selection *sel, const struct exit_scan *scan,
		const struct vm_pattern *pattern)
{
	size_t i;

	for (i = 0; i < scan->nr_scopes; i++) {
		if (scan->scopes[i].kind != SCOPE_HOST &&
		    match(sel, &scan->scopes[i], pattern->text) ==
			    pattern->best)
			return true;
	}
	return false;
}

int selection_check_read(const struct exit_selection *sel,
			 const struct exit_scan *vms,
			 const struct exit_scan *scan)
{
	size_t i;

	if (sel->may_have_ended)
		return STATUS_OK;
	for (i = 0; i < sel->nr_vm_patterns; i++) {
		const struct vm_pattern *pattern = &sel->vm_patterns[i];

		if (is_glob(pattern->text) && pattern->best <= VM_BY_PATTERN)
			continue;
		/* Who reads vCPUs alone may find none. */
		if (!has(sel, sel->vms ? scan : vms, pattern))
			return vm_has_ended(pattern->text);
	}
	if (!sel->vcpus || sel->vcpu < 0 || sel->again)
		return STATUS_OK;
	for (i = 0; i < scan->nr_scopes; i++) {
		if (scan->scopes[i].kind == SCOPE_VCPU)
			return STATUS_OK;
	}
	for (i = 0; i < vms->nr_scopes; i++) {
		if (selection_has_vm(sel, &vms->scopes[i]))
			return fail(
				STATUS_ERROR,
				"there is no vCPU %lld: 'exitstat list' has how many each VM has",
				(long long)sel->vcpu);
	}
	return STATUS_OK;
}

/* Does any table, that of @isa if it is known, know what the user means? */
static bool is_reason(const char *isa, const char *pattern)
{
	char label[EXIT_NAME_SIZE];
	size_t t, i;

	for (t = 0; reason_tables[t]; t++) {
		const struct reason_table *table = reason_tables[t];

		if (*isa && strcmp(table->isa, isa))
			continue;
		for (i = 0; i < table->nr_reasons; i++) {
			const uint32_t nr = table->reasons[i].nr;

			reason_label(label, table, nr);
			if (reason_matches(nr, label, pattern))
				return true;
		}
	}
	return !strcasecmp(pattern, "OTHER");
}

static bool has_reason(const struct exit_scan *scan, const char *pattern)
{
	size_t i, r;

	for (i = 0; i < scan->nr_scopes; i++) {
		const struct exit_snapshot *snap = &scan->scopes[i].snap;

		for (r = 0; r < snap->nr_rows; r++) {
			if (reason_matches(snap->rows[r].reason,
					   snap->rows[r].name, pattern))
				return true;
		}
	}
	return false;
}

/* Names that have the user's word in them, or that it has in it. */
static void list_alike(const char *isa, const char *word, char *list,
		       size_t size)
{
	char label[EXIT_NAME_SIZE];
	size_t t, i;

	*list = '\0';
	for (t = 0; reason_tables[t]; t++) {
		const struct reason_table *table = reason_tables[t];

		for (i = 0; i < table->nr_reasons &&
			    (!*isa || !strcmp(table->isa, isa));
		     i++) {
			reason_label(label, table, table->reasons[i].nr);
			if (strcasestr(label, word) || strcasestr(word, label))
				text_append(list, size, ", ", label);
		}
	}
}

int selection_check_reasons(const struct exit_selection *sel,
			    const struct exit_scan *scan)
{
	const char *isa = scan->nr_scopes ? scan->scopes[0].snap.isa : "";
	char alike[256];
	size_t i;

	if (sel->again)
		return STATUS_OK;
	for (i = 0; i < sel->nr_reason_patterns; i++) {
		const char *pattern = sel->reason_patterns[i];

		if (is_glob(pattern) || is_reason(isa, pattern) ||
		    has_reason(scan, pattern))
			continue;
		list_alike(isa, pattern, alike, sizeof(alike));
		return fail(
			STATUS_ERROR,
			"there is no exit reason %s%s%s%s%s: 'exitstat reasons' has all",
			pattern, *isa ? " on " : "", isa,
			*alike ? ", as there is " : "", alike);
	}
	return STATUS_OK;
}

void selection_filter(const struct exit_selection *sel, struct exit_scan *scan)
{
	size_t i;

	for (i = 0; i < scan->nr_scopes; i++)
		snapshot_filter(&scan->scopes[i].snap, sel->reason_patterns,
				sel->nr_reason_patterns);
}
