// SPDX-License-Identifier: GPL-2.0
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/message.h"
#include "top/loop.h"

int loop_check(void)
{
	const char *type = getenv("TERM");

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return fail(
			STATUS_ERROR,
			"a full screen needs a terminal: use 'exitstat show -d 1' or 'exitstat list -d 1' instead");
	if (!type || !*type || !strcmp(type, "dumb"))
		return fail(
			STATUS_ERROR,
			"a full screen needs another terminal than TERM=%s: set TERM to what it is, or use 'exitstat show -d 1'",
			type ? type : "");
	return STATUS_OK;
}

bool loop_open(struct top_loop *loop, bool stop)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	if (stop)
		sigaddset(&set, SIGTSTP);
	sigprocmask(SIG_BLOCK, &set, &loop->mask);
	loop->timer =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	loop->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return loop->timer >= 0 && loop->signals >= 0;
}

void loop_close(struct top_loop *loop)
{
	if (loop->timer >= 0)
		close(loop->timer);
	if (loop->signals >= 0)
		close(loop->signals);
	sigprocmask(SIG_SETMASK, &loop->mask, NULL);
}

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = ns / 1000000000,
		.tv_nsec = ns % 1000000000,
	};
}

void loop_set_timer(struct top_loop *loop, uint64_t first, uint64_t interval)
{
	const struct itimerspec spec = {
		.it_value = to_timespec(first),
		.it_interval = to_timespec(interval),
	};

	timerfd_settime(loop->timer, 0, &spec, NULL);
}

/* Others come with the next round; of several changed sizes one is enough. */
static int read_signal(struct top_loop *loop)
{
	struct signalfd_siginfo info;

	if (read(loop->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	return info.ssi_signo;
}

void loop_wait(struct top_loop *loop, struct loop_events *events)
{
	struct pollfd fds[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = loop->signals, .events = POLLIN },
		{ .fd = loop->timer, .events = POLLIN },
	};
	uint64_t expired;

	*events = (struct loop_events){};
	/* Interrupted, as when it goes on after a stop: look at the size. */
	if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
		return;

	if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		events->signal = SIGHUP;
	else if (fds[1].revents)
		events->signal = read_signal(loop);
	events->keys = fds[0].revents & POLLIN;
	events->timer = fds[2].revents &&
			read(loop->timer, &expired, sizeof(expired)) > 0;
}

void loop_raise(int number)
{
	if (!number || number == SIGINT)
		return;
	/* ncurses has put a handler of its own there. */
	signal(number, SIG_DFL);
	raise(number);
}
