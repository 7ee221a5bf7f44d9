/*
 * Stands in for a tape drive below a program that sends it SCSI commands: to be preloaded (LD_PRELOAD).
 *
 * Every SG_IO of the program ends here, whatever file it opened as its device. The folder that the
 * environment names in QEKM_DRIVE is the drive: SECURITY PROTOCOL OUT page 0010h (set data encryption) is
 * written to the file `page`, its CDB to `cdb`, and SECURITY PROTOCOL IN page 0020h (status) tells what
 * `page` set, with its descriptors. INQUIRY is answered; any other command is an illegal request.
 *
 * stenc wants to be root and writes a log; both are given to it here, so that no test needs or leaves either.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <scsi/sg.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { INQUIRY = 0x12, PROTOCOL_IN = 0xA2, PROTOCOL_OUT = 0xB5, TAPE_ENCRYPTION = 0x20 };
enum { SET_ENCRYPTION = 0x0010, STATUS = 0x0020, HEAD = 20, STATUS_HEAD = 24, MOST = 512 };
enum { GOOD = 0x00, CHECK_CONDITION = 0x02 };

static int open_file(const char *name, int flags)
{
    char path[4096];
    const char *folder = getenv("QEKM_DRIVE");
    if (folder == NULL || snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        abort();
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

static void keep(const char *name, const void *data, size_t length)
{
    int file = open_file(name, O_WRONLY | O_CREAT | O_TRUNC);
    if (file < 0 || write(file, data, length) != (ssize_t)length)
        abort();
    close(file);
}

static int answer(sg_io_hdr_t *io, const unsigned char *data, size_t length)
{
    memcpy(io->dxferp, data, length < io->dxfer_len ? length : io->dxfer_len);
    io->status = GOOD;
    return 0;
}

static int refuse(sg_io_hdr_t *io)
{
    static const unsigned char illegal_request[18] = {0x70, 0, 0x05, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20, 0};
    if (io->sbp != NULL && io->mx_sb_len >= sizeof illegal_request)
        memcpy(io->sbp, illegal_request, sizeof illegal_request);
    io->status = CHECK_CONDITION;
    return 0;
}

static int tell_status(sg_io_hdr_t *io)
{
    unsigned char page[MOST] = {0}, status[STATUS_HEAD + MOST] = {0, STATUS, 0, STATUS_HEAD - 4, 0x42};
    size_t length = STATUS_HEAD, key;
    int file = open_file("page", O_RDONLY);
    ssize_t size = file < 0 ? 0 : read(file, page, sizeof page);
    if (file >= 0)
        close(file);
    key = page[18] << 8 | page[19];
    if (size >= HEAD) {
        memcpy(status + 5, page + 6, 3); /* both modes and the algorithm */
        status[11] = 1;                  /* key instance counter */
        status[12] = 0x18;
        if ((size_t)size > HEAD + key) {
            memcpy(status + STATUS_HEAD, page + HEAD + key, size - HEAD - key);
            length += size - HEAD - key;
        }
    }
    status[2] = (length - 4) >> 8;
    status[3] = (length - 4) & 0xff;
    return answer(io, status, length);
}

static int execute(sg_io_hdr_t *io)
{
    static const unsigned char inquiry[36] = {0x01, 0x80, 0x06, 0x02, 31, 0, 0, 0, 'Q', 'E', 'K', 'M', ' ', ' ', ' ', ' '};
    const unsigned char *cdb = io->cmdp;
    int page = cdb[2] << 8 | cdb[3];
    io->resid = 0;
    io->host_status = io->driver_status = 0;
    if (cdb[0] == INQUIRY)
        return answer(io, inquiry, sizeof inquiry);
    if (cdb[0] == PROTOCOL_OUT && cdb[1] == TAPE_ENCRYPTION && page == SET_ENCRYPTION) {
        keep("cdb", cdb, io->cmd_len);
        keep("page", io->dxferp, io->dxfer_len);
        io->status = GOOD;
        return 0;
    }
    if (cdb[0] == PROTOCOL_IN && cdb[1] == TAPE_ENCRYPTION && page == STATUS)
        return tell_status(io);
    return refuse(io);
}

int ioctl(int file, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    return request == SG_IO ? execute(argument) : (int)syscall(SYS_ioctl, file, request, argument);
}

uid_t getuid(void)
{
    return 0;
}

static int is_log(const char *path)
{
    return strcmp(path, "/var/log/stenc") == 0;
}

FILE *fopen64(const char *path, const char *mode)
{
    int flags = mode[0] == 'r' ? O_RDONLY : O_WRONLY | O_CREAT | (mode[0] == 'a' ? O_APPEND : O_TRUNC);
    int file = is_log(path) ? open_file("log", flags) : (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0666);
    return file < 0 ? NULL : fdopen(file, mode);
}

int chmod(const char *path, mode_t mode)
{
    return is_log(path) ? 0 : (int)syscall(SYS_fchmodat, AT_FDCWD, path, mode);
}
