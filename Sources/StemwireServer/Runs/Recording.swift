import Foundation
import StemwireUDF

/// A UDF that writes the frames to a file.
struct Recording: Sendable {
    /// Absolute.
    let path: String

    init?(_ request: UDFRequest) {
        guard request.name == RecordUDF.name, let value = request.parameters["filename"] else { return nil }
        let name = if case .text(let text) = value { text } else { value.json }
        path = URL(filePath: name).standardizedFileURL.path
    }

    var directory: String { (path as NSString).deletingLastPathComponent }
    var uri: String { URL(filePath: path).absoluteString }
}
