/* The calls of a process that concern files below one directory: counted, written down, and one of them made to go wrong.
 *
 * Preloaded into the program (calls.rs builds and sets it up), it stands between the program and libc. One call is let through
 * at a time, so that what is written down is the order in which things happened. What is not seen: memory that is mapped (no
 * more than its mapping), and what is read from an open directory.
 *
 *   CALLS_UNDER   the directory
 *   CALLS_LOG     where calls are written down, a line each; the bytes of writes follow their line
 *   CALLS_NTH     the call that goes wrong
 *   CALLS_FAULT   how: `fails` (with EIO), `full` (with ENOSPC, if it is one that takes room), `hangs`, `killed-before`,
 *                 `killed-after`, or `torn`: half of a write takes effect, and then the process is killed
 *   CALLS_WHILE   a file: from the n-th call on all go wrong for as long as it is there
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* What a call does to what is on disk. */
enum kind { LOOKS, LOCKS, CHANGES, TAKES_ROOM };

static const char *under, *fault = "", *lasting;
static size_t under_length;
static int log_fd = -1;
static long nth, count;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* Set while this file calls libc itself. */
static __thread int inside;

__attribute__((constructor)) static void set_up(void) {
    const char *log = getenv("CALLS_LOG");
    under = getenv("CALLS_UNDER");
    if (!under || !log)
        return;
    under_length = strlen(under);
    if (getenv("CALLS_NTH"))
        nth = atol(getenv("CALLS_NTH"));
    if (getenv("CALLS_FAULT"))
        fault = getenv("CALLS_FAULT");
    lasting = getenv("CALLS_WHILE");
    log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_concerned(const char *path) {
    if (log_fd < 0 || inside || strncmp(path, under, under_length) != 0)
        return 0;
    return path[under_length] == '/' || path[under_length] == 0;
}

static void path_of_fd(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
}

static void path_of(int dir, const char *name, char *path) {
    path[0] = 0;
    if (!name || (name[0] == 0 && dir != AT_FDCWD))
        path_of_fd(dir, path);
    else if (name[0] == '/')
        snprintf(path, PATH_MAX, "%s", name);
    else if (dir != AT_FDCWD) {
        path_of_fd(dir, path);
        size_t length = strlen(path);
        snprintf(path + length, PATH_MAX - length, "/%s", name);
    }
    /* A path from where the program runs: nothing of the program's own is there. */
}

static unsigned long inode(int fd) {
    struct stat found;
    inside = 1;
    int failed = fstat(fd, &found);
    inside = 0;
    return failed ? 0 : found.st_ino;
}

static int is_there(const char *path) {
    return syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
}

static void write_out(const void *bytes, size_t length) {
    const char *next = bytes;
    while (length > 0) {
        long done = syscall(SYS_write, log_fd, next, length);
        if (done <= 0)
            abort();
        next += done;
        length -= done;
    }
}

/* One line: number, call, result, and what the call was about. */
static void note(const char *call, long result, const char *format, ...) {
    char line[3 * PATH_MAX];
    int length = snprintf(line, sizeof line, "%ld\t%s\t%ld\t", count, call, result);
    va_list about;
    va_start(about, format);
    length += vsnprintf(line + length, sizeof line - length - 1, format, about);
    va_end(about);
    line[length++] = '\n';
    write_out(line, length);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static int is(const char *word) { return strcmp(fault, word) == 0; }

/* The lock is held from here to `leave`. Answers with 0, or with what the call fails with. */
static int enter(const char *call, enum kind kind, const char *path) {
    pthread_mutex_lock(&one_at_a_time);
    count++;
    int strikes = lasting ? nth && count >= nth && is_there(lasting) : count == nth;
    if (!strikes)
        return 0;
    /* SQLite takes a lock that fails for one that somebody else has, and waits ten seconds for it, each time. */
    if (lasting && kind == LOCKS)
        return 0;
    int error = is("fails") ? EIO : is("full") && kind == TAKES_ROOM ? ENOSPC : 0;
    if (error)
        note(call, -error, "%s", path);
    if (is("killed-before"))
        die();
    if (is("hangs")) {
        pthread_mutex_unlock(&one_at_a_time);
        while (!lasting || is_there(lasting))
            usleep(10000);
        pthread_mutex_lock(&one_at_a_time);
    }
    return error;
}

static void leave(void) {
    if (count == nth && (is("killed-after") || is("torn")))
        die();
    pthread_mutex_unlock(&one_at_a_time);
}

static int is_torn(void) { return count == nth && is("torn"); }

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* Lets a call through if it does not concern us, makes it fail if it is to, and goes on after this if neither. */
#define ENTER(call, kind, path, through, failed)          \
    do {                                                  \
        if (!is_concerned(path))                          \
            return through;                               \
        int error = enter(call, kind, path);              \
        if (error) {                                      \
            pthread_mutex_unlock(&one_at_a_time);         \
            errno = error;                                \
            return failed;                                \
        }                                                 \
    } while (0)

/* Ends a call without touching what it says went wrong. */
#define LEAVE(result)         \
    do {                      \
        int said = errno;     \
        leave();              \
        errno = said;         \
        return result;        \
    } while (0)

/* A call that looks, or changes nothing that a crash could undo. */
#define PLAIN(call, path, through, failed) OF_KIND(LOOKS, call, path, through, failed)
#define OF_KIND(kind, call, path, through, failed)                  \
    do {                                                            \
        ENTER(call, kind, path, through, failed);                   \
        __typeof__(through) result = through;                       \
        int said = errno;                                           \
        note(call, 0, "%s", path);                                  \
        errno = said;                                               \
        LEAVE(result);                                              \
    } while (0)

static int opened(int dir, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    path_of(dir, name, path);
#define THROUGH syscall(SYS_openat, dir, name, flags, mode)
    ENTER("open", flags & O_CREAT ? TAKES_ROOM : LOOKS, path, THROUGH, -1);
    int was_there = is_there(path);
    int fd = THROUGH;
    int said = errno;
    if (fd >= 0 && !was_there)
        note("create", 0, "%lu\t%s", inode(fd), path);
    else if (fd >= 0 && flags & O_TRUNC)
        note("truncate", 0, "%lu\t%s\t0", inode(fd), path);
    else
        note("open", 0, "%s", path);
    errno = said;
    LEAVE(fd);
#undef THROUGH
}

#define MODE(flags)                          \
    mode_t mode = 0;                         \
    if ((flags) & (O_CREAT | O_TMPFILE)) {   \
        va_list rest;                        \
        va_start(rest, flags);               \
        mode = va_arg(rest, mode_t);         \
        va_end(rest);                        \
    }

int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE(flags) return opened(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE(flags) return opened(dir, path, flags, mode); }

static ssize_t written(int fd, const void *bytes, size_t length, off_t at) {
    char path[PATH_MAX];
    path_of_fd(fd, path);
#define THROUGH (at < 0 ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, at))
    ENTER("write", TAKES_ROOM, path, THROUGH, -1);
    if (is_torn())
        length /= 2;
    ssize_t done = THROUGH;
    int said = errno;
    off_t from = at < 0 ? lseek(fd, 0, SEEK_CUR) - done : at;
    note("write", done, "%lu\t%s\t%ld\t%ld", inode(fd), path, (long)from, (long)(done < 0 ? 0 : done));
    if (done > 0)
        write_out(bytes, done);
    errno = said;
    LEAVE(done);
#undef THROUGH
}

ssize_t write(int fd, const void *bytes, size_t length) { return written(fd, bytes, length, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return written(fd, bytes, length, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return written(fd, bytes, length, at); }
/* The first piece alone: whoever writes so goes on with the rest. */
ssize_t writev(int fd, const struct iovec *pieces, int number) {
    char path[PATH_MAX];
    path_of_fd(fd, path);
    if (!is_concerned(path))
        return syscall(SYS_writev, fd, pieces, number);
    while (number > 1 && pieces->iov_len == 0)
        pieces++, number--;
    return number > 0 ? written(fd, pieces->iov_base, pieces->iov_len, -1) : 0;
}

static ssize_t read_from(int fd, void *bytes, size_t length, off_t at) {
    char path[PATH_MAX];
    path_of_fd(fd, path);
    PLAIN("read", path, (at < 0 ? syscall(SYS_read, fd, bytes, length) : syscall(SYS_pread64, fd, bytes, length, at)), -1);
}

ssize_t read(int fd, void *bytes, size_t length) { return read_from(fd, bytes, length, -1); }
ssize_t pread(int fd, void *bytes, size_t length, off_t at) { return read_from(fd, bytes, length, at); }
ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) { return read_from(fd, bytes, length, at); }

/* Calls that change one thing: made, and written down with what they were about if they took effect. */
#define CHANGE(call, kind, path, through, ...)     \
    do {                                           \
        ENTER(call, kind, path, through, -1);      \
        int result = through;                      \
        int said = errno;                          \
        note(call, result, __VA_ARGS__);           \
        errno = said;                              \
        LEAVE(result);                             \
    } while (0)

static int synced(int fd, long number) {
    char path[PATH_MAX];
    path_of_fd(fd, path);
    CHANGE("sync", TAKES_ROOM, path, syscall(number, fd), "%lu\t%s", inode(fd), path);
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int truncated(int fd, off_t length) {
    char path[PATH_MAX];
    path_of_fd(fd, path);
    CHANGE("truncate", TAKES_ROOM, path, syscall(SYS_ftruncate, fd, length), "%lu\t%s\t%ld", inode(fd), path, (long)length);
}

int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncated(fd, length); }

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    char from_path[PATH_MAX], to_path[PATH_MAX];
    path_of(from_dir, from, from_path);
    path_of(to_dir, to, to_path);
    CHANGE("rename", TAKES_ROOM, to_path, syscall(SYS_renameat2, from_dir, from, to_dir, to, flags), "%s\t%s", from_path,
           to_path);
}

int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    return renameat2(from_dir, from, to_dir, to, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    char from_path[PATH_MAX], to_path[PATH_MAX];
    path_of(from_dir, from, from_path);
    path_of(to_dir, to, to_path);
    CHANGE("link", TAKES_ROOM, to_path, syscall(SYS_linkat, from_dir, from, to_dir, to, flags), "%s\t%s", from_path, to_path);
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int dir, const char *name, int flags) {
    char path[PATH_MAX];
    path_of(dir, name, path);
    CHANGE("unlink", CHANGES, path, syscall(SYS_unlinkat, dir, name, flags), "%s", path);
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int dir, const char *name, mode_t mode) {
    char path[PATH_MAX];
    path_of(dir, name, path);
    CHANGE("mkdir", TAKES_ROOM, path, syscall(SYS_mkdirat, dir, name, mode), "%s", path);
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int flock(int fd, int operation) {
    char path[PATH_MAX];
    path_of_fd(fd, path);
    OF_KIND(LOCKS, "lock", path, (int)syscall(SYS_flock, fd, operation), -1);
}

static int controlled(int fd, int command, void *argument) {
    /* To let go of a lock cannot fail, on any file system that SQLite may be used on: it would never be had again. */
    int locks = (command == F_SETLK || command == F_SETLKW) && ((struct flock *)argument)->l_type != F_UNLCK;
    if (!locks)
        return syscall(SYS_fcntl, fd, command, argument);
    char path[PATH_MAX];
    path_of_fd(fd, path);
    OF_KIND(LOCKS, "lock", path, (int)syscall(SYS_fcntl, fd, command, argument), -1);
}

#define ARGUMENT(command)                    \
    va_list rest;                            \
    va_start(rest, command);                 \
    void *argument = va_arg(rest, void *);   \
    va_end(rest);

int fcntl(int fd, int command, ...) { ARGUMENT(command) return controlled(fd, command, argument); }
int fcntl64(int fd, int command, ...) { ARGUMENT(command) return controlled(fd, command, argument); }

/* A mapping that is to be shared: SQLite's index of its log. */
static void *mapped(void *where, size_t length, int protection, int flags, int fd, off_t at) {
    char path[PATH_MAX] = "";
    if (fd >= 0)
        path_of_fd(fd, path);
    PLAIN("map", path, (void *)syscall(SYS_mmap, where, length, protection, flags, fd, at), MAP_FAILED);
}

void *mmap(void *where, size_t length, int protection, int flags, int fd, off_t at) {
    return mapped(where, length, protection, flags, fd, at);
}
void *mmap64(void *where, size_t length, int protection, int flags, int fd, off64_t at) {
    return mapped(where, length, protection, flags, fd, at);
}

DIR *opendir(const char *path) { PLAIN("list", path, REAL(opendir)(path), NULL); }

int statx(int dir, const char *restrict name, int flags, unsigned mask, struct statx *restrict found) {
    char path[PATH_MAX];
    path_of(dir, name, path);
    PLAIN("look", path, (int)syscall(SYS_statx, dir, name, flags, mask, found), -1);
}

#define LOOK_BY_PATH(name, type)                                        \
    int name(const char *restrict path, struct type *restrict found) {  \
        PLAIN("look", path, REAL(name)(path, found), -1);               \
    }
#define LOOK_BY_FD(name, type)                                          \
    int name(int fd, struct type *found) {                              \
        char path[PATH_MAX];                                            \
        path_of_fd(fd, path);                                           \
        PLAIN("look", path, REAL(name)(fd, found), -1);                 \
    }
#define LOOK_BELOW(function, type)                                                                          \
    int function(int dir, const char *restrict name, struct type *restrict found, int flags) {              \
        char path[PATH_MAX];                                                                                \
        path_of(dir, name, path);                                                                           \
        PLAIN("look", path, REAL(function)(dir, name, found, flags), -1);                                   \
    }

LOOK_BY_PATH(stat, stat)
LOOK_BY_PATH(stat64, stat64)
LOOK_BY_PATH(lstat, stat)
LOOK_BY_PATH(lstat64, stat64)
LOOK_BY_FD(fstat, stat)
LOOK_BY_FD(fstat64, stat64)
LOOK_BELOW(fstatat, stat)
LOOK_BELOW(fstatat64, stat64)
