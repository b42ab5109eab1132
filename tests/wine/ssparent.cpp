// A parent of the kind that this technique was first described with (Windows, 1990s): it makes the
// mutex "sschild" and a listening socket that its children inherit, and starts "SSChild <handle>"
// so many times, from its own directory.  It has never heard of prefork.
//
//     SSParent PORT CHILDREN [PROGRAM...]
//
// With PROGRAMs it starts those, in turns, in the place of SSChild.
//
// It tells of each child by a line of JSON, and ends, with all its children, when its standard
// input does.  A child that has ended is told of and not replaced.

#include <winsock2.h>
#include <windows.h>
#include <cstdio>
#include <cstdlib>

static DWORD WINAPI watch_input(LPVOID event) {
    char text[64];
    DWORD length;
    while (ReadFile(GetStdHandle(STD_INPUT_HANDLE), text, sizeof text, &length, NULL) && length) {}
    SetEvent((HANDLE)event);
    return 0;
}

int main(int count, char **words) {
    WSADATA data;
    if (count < 3 || WSAStartup(MAKEWORD(2, 2), &data) != 0) return 1;
    CreateMutexA(NULL, FALSE, "sschild");
    SOCKET listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons((u_short)atoi(words[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (sockaddr *)&address, sizeof address) || listen(listener, 200)) return 2;
    int length = sizeof address;
    getsockname(listener, (sockaddr *)&address, &length);
    SetHandleInformation((HANDLE)listener, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
    printf("{\"event\": \"listening\", \"port\": %d}\n", ntohs(address.sin_port));

    HANDLE waited[MAXIMUM_WAIT_OBJECTS];
    int children = atoi(words[2]);
    for (int number = 0; number < children; number++) {
        char command[64];
        const char *program = count > 3 ? words[3 + number % (count - 3)] : "SSChild";
        snprintf(command, sizeof command, "%s %llu", program, (unsigned long long)listener);
        STARTUPINFOA info = {};
        info.cb = sizeof info;
        PROCESS_INFORMATION process;
        if (!CreateProcessA(NULL, command, NULL, NULL, TRUE, 0, NULL, NULL, &info, &process)) {
            printf("{\"event\": \"refused\", \"error\": %lu}\n", GetLastError());
            return 3;
        }
        CloseHandle(process.hThread);
        waited[number] = process.hProcess;
        printf("{\"event\": \"started\", \"pid\": %lu}\n", process.dwProcessId);
    }
    fflush(stdout);

    HANDLE stop = CreateEventA(NULL, TRUE, FALSE, NULL);
    CreateThread(NULL, 0, watch_input, stop, 0, NULL);
    waited[children] = stop;
    for (;;) {
        DWORD found = WaitForMultipleObjects(children + 1, waited, FALSE, INFINITE);
        if (found == (DWORD)children) break;  // the order to end comes last
        DWORD code;
        GetExitCodeProcess(waited[found], &code);
        printf("{\"event\": \"exited\", \"pid\": %lu, \"code\": %lu}\n",
               GetProcessId(waited[found]), code);
        fflush(stdout);
        for (int next = (int)found; next < children; next++) waited[next] = waited[next + 1];
        children--;
    }
    for (int number = 0; number < children; number++) TerminateProcess(waited[number], 9);
    return 0;
}
