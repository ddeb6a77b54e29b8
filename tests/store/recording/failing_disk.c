/* A disk whose n-th write or sync fails: preloaded into a process, armed from there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long left = -1;
static int number, lasting;
static char folder[4096];

/* The n-th call from now on that writes below a folder fails, or every one from it on. */
void arm(long n, int error, int for_good, const char *where) {
    strncpy(folder, where, sizeof folder - 1);
    number = error;
    lasting = for_good;
    left = n;
}

/* From now on all succeed; says whether one failed. */
int disarm(void) {
    int failed = left == 0;
    left = -1;
    return failed;
}

static int fails(int file) {
    char link[64], path[4096];
    if (left < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (strncmp(path, folder, strlen(folder))) return 0;
    if (left == 0) {
        if (!lasting) return 0;
    } else if (--left > 0) {
        return 0;
    }
    errno = number;
    return 1;
}

#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

/* A sync that succeeds has nothing to do: the machine keeps its power, and the test takes thousands of them. */
int fsync(int file) { return fails(file) ? -1 : 0; }
int fdatasync(int file) { return fails(file) ? -1 : 0; }
int ftruncate(int file, off_t size) { return fails(file) ? -1 : REAL(ftruncate)(file, size); }
int ftruncate64(int file, off64_t size) { return fails(file) ? -1 : REAL(ftruncate64)(file, size); }
ssize_t write(int file, const void *from, size_t size) { return fails(file) ? -1 : REAL(write)(file, from, size); }
ssize_t pwrite(int file, const void *from, size_t size, off_t at) {
    return fails(file) ? -1 : REAL(pwrite)(file, from, size, at);
}
ssize_t pwrite64(int file, const void *from, size_t size, off64_t at) {
    return fails(file) ? -1 : REAL(pwrite64)(file, from, size, at);
}
