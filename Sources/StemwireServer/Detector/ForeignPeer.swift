/// Who else may be found at an address that is meant to be a detector's.
enum ForeignPeer {
    /// What the first bytes that a peer sends say of it; nil for a Merlin, and for whom nobody knows.
    static func recognise(_ bytes: some Collection<UInt8>) -> String? {
        func begins(_ text: String) -> Bool { bytes.starts(with: text.utf8) }
        if begins("SSH-") { return "an SSH server" }
        if begins("HTTP/") { return "a web server" }
        if bytes.starts(with: [0xFF, 0, 0, 0, 0, 0, 0, 0]) {
            return "a ZeroMQ socket, perhaps of another Stemwire server"
        }
        if bytes.starts(with: [0x15, 0x03]) || bytes.starts(with: [0x16, 0x03]) { return "a server that wants TLS" }
        if begins("220 ") || begins("220-") { return "a mail or file server" }
        if begins("RFB ") { return "a screen server (VNC)" }
        return nil
    }
}
