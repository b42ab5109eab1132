// A child of the kind that this technique was first described with (Windows, 1990s): it opens the
// mutex "sschild", takes the listening socket from its command line as a decimal number, accepts
// under the mutex, and answers what it is sent with the same and a NUL byte.

#include <winsock2.h>
#include <windows.h>
#include <cstdlib>

int main(int count, char **words) {
    WSADATA data;
    if (count < 2 || WSAStartup(MAKEWORD(2, 2), &data) != 0) return 1;
    SOCKET listener = (SOCKET)_atoi64(words[1]);
    HANDLE mutex = OpenMutexA(MUTEX_ALL_ACCESS, FALSE, "sschild");
    if (mutex == NULL) return -1;
    for (;;) {
        WaitForSingleObject(mutex, INFINITE);  // its last owner may have died: then it is ours
        SOCKET client = accept(listener, NULL, NULL);
        ReleaseMutex(mutex);
        if (client == INVALID_SOCKET) return 2;
        char text[4096];
        int length = recv(client, text, sizeof text - 1, 0);
        if (length > 0) {
            text[length] = 0;
            send(client, text, length + 1, 0);
        }
        closesocket(client);
    }
}
