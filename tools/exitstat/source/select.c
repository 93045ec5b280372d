// SPDX-License-Identifier: GPL-2.0
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/message.h"
#include "base/text.h"
#include "source/select.h"

bool scope_matches(const struct exit_scope *scope, const char *pattern)
{
	size_t len = strlen(pattern);

	if (is_vm_id(pattern, true))
		return !strncmp(scope->vm, pattern, len) &&
		       (!scope->vm[len] || scope->vm[len] == '-');
	return !fnmatch(pattern, scope->vm, 0) ||
	       !fnmatch(pattern, scope->name, 0);
}

bool selection_has(const struct exit_selection *sel,
		   const struct exit_scope *scope)
{
	size_t i;

	if (scope->kind == SCOPE_HOST)
		return sel->host;
	if (scope->kind == SCOPE_VM ?
		    !sel->vms :
		    !sel->vcpus || (sel->vcpu >= 0 && sel->vcpu != scope->vcpu))
		return false;
	for (i = 0; i < sel->nr_vm_patterns; i++) {
		if (scope_matches(scope, sel->vm_patterns[i]))
			return true;
	}
	return !sel->nr_vm_patterns;
}

bool pattern_is_glob(const char *pattern)
{
	return strpbrk(pattern, "*?[");
}

int no_such_vm(const struct exit_selection *sel, const char *pattern,
	       const char *const *vms, size_t nr)
{
	char list[MAX_LISTED_VMS * (VM_ID_SIZE + 2) + 32] = "", more[32];
	size_t i;

	if (sel->again)
		return vm_has_ended(pattern);
	if (!nr)
		return fail(STATUS_ERROR,
			    "there is no VM %s: no VM is running now", pattern);

	for (i = 0; i < nr && i < MAX_LISTED_VMS; i++)
		text_append(list, sizeof(list), ", ", vms[i]);
	if (i < nr) {
		snprintf(more, sizeof(more), "%zu more", nr - i);
		text_append(list, sizeof(list), " and ", more);
	}

	return fail(
		STATUS_ERROR,
		"there is no VM %s: choose one of %s, or see 'exitstat list'",
		pattern, list);
}

int vm_has_ended(const char *vm)
{
	return fail(
		STATUS_ERROR,
		"VM %s ended before it was read: only the host's totals, 'exitstat show', still have its exits",
		vm);
}

void selection_filter(const struct exit_selection *sel, struct exit_scan *scan)
{
	size_t i;

	for (i = 0; i < scan->nr_scopes; i++)
		snapshot_filter(&scan->scopes[i].snap, sel->reason_patterns,
				sel->nr_reason_patterns);
}
