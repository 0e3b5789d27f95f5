/* The wall clock of a copy of the program: the kernel's, and as many seconds more as a file says. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile long *ahead;

/* Before main: the first thread alone is there. */
__attribute__((constructor)) static void open_file(void) {
  int file = open(AHEAD, O_RDONLY | O_CLOEXEC);
  void *seen = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
  if (file < 0 || seen == MAP_FAILED) _exit(99);
  close(file);
  ahead = seen;
}

int clock_gettime(clockid_t id, struct timespec *now) {
  int result = syscall(SYS_clock_gettime, id, now);
  int is_wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
  if (result == 0 && is_wall && ahead) now->tv_sec += *ahead;
  return result;
}
