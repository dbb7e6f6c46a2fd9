// swift-tools-version: 6.1
import PackageDescription

let settings: [SwiftSetting] = [.enableUpcomingFeature("ExistentialAny")]
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")

let package = Package(
    name: "stemwire",
    dependencies: [
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    ],
    targets: [
        .systemLibrary(name: "CLibxxhash", providers: [.apt(["libxxhash-dev"])]),
        .target(name: "CStemwireSystem"),
        .target(name: "StemwireSystem", dependencies: ["CStemwireSystem"], swiftSettings: settings),
        .target(name: "StemwireProtocol", dependencies: ["CLibxxhash", protobuf], swiftSettings: settings),
        .testTarget(name: "StemwireSystemTests", dependencies: ["StemwireSystem"], swiftSettings: settings),
        .testTarget(name: "StemwireProtocolTests", dependencies: ["StemwireProtocol"], swiftSettings: settings),
    ]
)
