import StemwireSystem

/// The connections of one socket, and whose they are. I/O-free but for the looking and the cutting.
///
/// libzmq tells of connections and hands over their messages by ways of their own, so that either may be first. What belongs to
/// a connection is therefore kept under its identity, not under its descriptor, which the next one may have at once.
struct ConnectionBook {
    private struct Entry {
        var userID: String?
        /// What still comes of it was on its way already.
        var isCut = false
    }

    private var open: Set<Int32> = []
    private var entries: [ForeignConnection: Entry] = [:]
    private static let roomForPast = 256

    /// Connections that stand, or shake hands.
    var count: Int { open.count }

    mutating func opened(_ descriptor: Int32) { open.insert(descriptor) }

    mutating func closed(_ descriptor: Int32) {
        open.remove(descriptor)
        guard entries.count > 2 * open.count + Self.roomForPast else { return }
        entries = entries.filter { $0.key.isOpen }
    }

    /// A message of a user came by a connection.
    mutating func note(_ userID: String, on descriptor: Int32) {
        guard let connection = ForeignConnection(descriptor) else { return }
        entries[connection, default: Entry()].userID = userID
    }

    /// Ends a connection. Returns whether that was new.
    mutating func cut(_ descriptor: Int32) -> Bool {
        guard let connection = ForeignConnection(descriptor) else { return false }
        return cut(connection)
    }

    private mutating func cut(_ connection: ForeignConnection) -> Bool {
        guard entries[connection]?.isCut != true, connection.cut() else { return false }
        entries[connection, default: Entry()].isCut = true
        return true
    }

    /// Ends the connections of users that are not `allowed`. Returns how many those were.
    mutating func cut(unless allowed: (String) -> Bool) -> Int {
        let gone = entries.filter { entry in entry.value.userID.map { !allowed($0) } ?? false }
        return gone.keys.reduce(0) { count, connection in count + (cut(connection) ? 1 : 0) }
    }

    mutating func removeAll() { (open, entries) = ([], [:]) }
}
