/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel's KUnit as kernel/exit_stats_test.c uses, for Debian's
 * kernels, which are built without it: the suite runs when the module is loaded,
 * prints KTAP, and the module loads only if all tests passed.
 */
#ifndef _KUNIT_TEST_H
#define _KUNIT_TEST_H

#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>

struct kunit_allocation {
	struct list_head list;
	u64 data[];
};

struct kunit {
	void *priv;
	struct list_head allocations;
	bool failed;
	const char *skipped;
};

struct kunit_case {
	const char *name;
	void (*run)(struct kunit *test);
};

struct kunit_suite {
	const char *name;
	int (*init)(struct kunit *test);
	struct kunit_case *test_cases;
};

#define KUNIT_CASE(function) { .name = #function, .run = function }

static inline void *kunit_kzalloc(struct kunit *test, size_t size, gfp_t gfp)
{
	struct kunit_allocation *allocation;

	allocation = kvzalloc(sizeof(*allocation) + size, gfp);
	if (!allocation)
		return NULL;
	list_add(&allocation->list, &test->allocations);
	return allocation->data;
}

#define KUNIT_FAILED(test, fmt, ...)					\
	do {								\
		(test)->failed = true;					\
		pr_info("# %s:%d: " fmt "\n", __func__, __LINE__, ##__VA_ARGS__); \
	} while (0)

#define KUNIT_COMPARE(test, left, op, right)				\
	do {								\
		typeof(left) __left = (left);				\
		typeof(right) __right = (right);			\
									\
		if (!(__left op __right))				\
			KUNIT_FAILED(test, "expected %s " #op " %s, got %lld and %lld", \
				     #left, #right, (long long)__left,	\
				     (long long)__right);		\
	} while (0)

#define KUNIT_EXPECT_EQ(test, left, right) KUNIT_COMPARE(test, left, ==, right)
#define KUNIT_EXPECT_NE(test, left, right) KUNIT_COMPARE(test, left, !=, right)
#define KUNIT_EXPECT_LT(test, left, right) KUNIT_COMPARE(test, left, <, right)
#define KUNIT_EXPECT_LE(test, left, right) KUNIT_COMPARE(test, left, <=, right)
#define KUNIT_EXPECT_GT(test, left, right) KUNIT_COMPARE(test, left, >, right)
#define KUNIT_EXPECT_TRUE(test, condition) KUNIT_COMPARE(test, !!(condition), ==, true)

/* The real one ends the test wherever it stands; so its users are plain. */
#define KUNIT_ASSERT_NOT_NULL(test, pointer)				\
	do {								\
		if (!(pointer)) {					\
			KUNIT_FAILED(test, "%s is NULL", #pointer);	\
			return -ENOMEM;					\
		}							\
	} while (0)

/* To be the last that a function does. */
#define kunit_skip(test, why) ((test)->skipped = (why))

static inline bool kunit_run_case(struct kunit_suite *suite, int i)
{
	struct kunit test = { .allocations = LIST_HEAD_INIT(test.allocations) };
	struct kunit_case *test_case = &suite->test_cases[i];
	struct kunit_allocation *allocation, *next;

	if (suite->init(&test))
		test.failed = true;
	else if (!test.skipped)
		test_case->run(&test);
	list_for_each_entry_safe(allocation, next, &test.allocations, list)
		kvfree(allocation);
	pr_info("%sok %d %s%s%s\n", test.failed ? "not " : "", i + 1,
		test_case->name, test.skipped ? " # SKIP " : "",
		test.skipped ?: "");
	return !test.failed;
}

static inline int kunit_run_suite(struct kunit_suite *suite)
{
	bool passed = true;
	int i;

	pr_info("# Subtest: %s\n", suite->name);
	for (i = 0; suite->test_cases[i].name; i++)
		passed &= kunit_run_case(suite, i);
	pr_info("1..%d\n", i);
	pr_info("%sok 1 %s\n", passed ? "" : "not ", suite->name);
	return passed ? 0 : -EINVAL;
}

#define kunit_test_suite(suite)						\
static int __init kunit_module_init(void)				\
{									\
	return kunit_run_suite(&suite);					\
}									\
module_init(kunit_module_init);						\
									\
static void __exit kunit_module_exit(void)				\
{									\
}									\
module_exit(kunit_module_exit)

#endif
