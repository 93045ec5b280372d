// SPDX-License-Identifier: GPL-2.0
/* Keeps a VM by the stats fds of it and of its vCPU alone, until stdin ends. */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int checked(int fd, const char *what)
{
	if (fd < 0)
		err(EXIT_FAILURE, "%s", what);
	return fd;
}

int main(void)
{
	const int kvm = checked(open("/dev/kvm", O_RDWR), "/dev/kvm");
	const int vm = checked(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	const int vcpu = checked(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");

	checked(ioctl(vm, KVM_GET_STATS_FD, 0), "KVM_GET_STATS_FD of the VM");
	checked(ioctl(vcpu, KVM_GET_STATS_FD, 0), "KVM_GET_STATS_FD of the vCPU");
	close(vcpu);
	close(vm);
	close(kvm);
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return EXIT_SUCCESS;
}
