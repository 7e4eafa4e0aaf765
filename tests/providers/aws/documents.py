"""EC2's answers as EC2 writes them: every element of a real DescribeInstances item, about three kilobytes each."""

from __future__ import annotations

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'

INSTANCE = """
                <item>
                    <instanceId>i-{n:017x}</instanceId>
                    <imageId>ami-0123456789abcdef0</imageId>
                    <instanceState>
                        <code>16</code>
                        <name>running</name>
                    </instanceState>
                    <privateDnsName>ip-10-0-{high}-{low}.eu-west-3.compute.internal</privateDnsName>
                    <dnsName>ec2-203-0-{high}-{low}.eu-west-3.compute.amazonaws.com</dnsName>
                    <reason/>
                    <amiLaunchIndex>0</amiLaunchIndex>
                    <productCodes/>
                    <instanceType>t3.medium</instanceType>
                    <launchTime>2026-11-23T10:00:00.000Z</launchTime>
                    <placement>
                        <availabilityZone>eu-west-3a</availabilityZone>
                        <availabilityZoneId>euw3-az1</availabilityZoneId>
                        <groupName/>
                        <tenancy>default</tenancy>
                    </placement>
                    <monitoring>
                        <state>disabled</state>
                    </monitoring>
                    <subnetId>subnet-0123456789abcdef0</subnetId>
                    <vpcId>vpc-0123456789abcdef0</vpcId>
                    <privateIpAddress>10.0.{high}.{low}</privateIpAddress>
                    <ipAddress>203.0.{high}.{low}</ipAddress>
                    <sourceDestCheck>true</sourceDestCheck>
                    <groupSet>
                        <item>
                            <groupId>sg-0123456789abcdef0</groupId>
                            <groupName>default</groupName>
                        </item>
                    </groupSet>
                    <architecture>x86_64</architecture>
                    <rootDeviceType>ebs</rootDeviceType>
                    <rootDeviceName>/dev/xvda</rootDeviceName>
                    <blockDeviceMapping>
                        <item>
                            <deviceName>/dev/xvda</deviceName>
                            <ebs>
                                <volumeId>vol-0123456789abcdef0</volumeId>
                                <status>attached</status>
                                <attachTime>2026-03-01T08:30:01.000Z</attachTime>
                                <deleteOnTermination>true</deleteOnTermination>
                            </ebs>
                        </item>
                    </blockDeviceMapping>
                    <virtualizationType>hvm</virtualizationType>
                    <clientToken>0b7ee4b0-1d42-4a3c-9b3a-6a9d5f7a3f10</clientToken>
                    <tagSet>
                        <item>
                            <key>Name</key>
                            <value>vm{n}</value>
                        </item>
                        <item>
                            <key>team</key>
                            <value>web</value>
                        </item>
                        <item>
                            <key>aws:cloudformation:stack-name</key>
                            <value>stack</value>
                        </item>
                    </tagSet>
                    <hypervisor>xen</hypervisor>
                    <networkInterfaceSet>
                        <item>
                            <networkInterfaceId>eni-0123456789abcdef0</networkInterfaceId>
                            <subnetId>subnet-0123456789abcdef0</subnetId>
                            <vpcId>vpc-0123456789abcdef0</vpcId>
                            <description/>
                            <ownerId>123456789012</ownerId>
                            <status>in-use</status>
                            <macAddress>0a:1b:2c:3d:4e:5f</macAddress>
                            <privateIpAddress>10.0.{high}.{low}</privateIpAddress>
                            <privateDnsName>ip-10-0-{high}-{low}.eu-west-3.compute.internal</privateDnsName>
                            <sourceDestCheck>true</sourceDestCheck>
                            <groupSet>
                                <item>
                                    <groupId>sg-0123456789abcdef0</groupId>
                                    <groupName>default</groupName>
                                </item>
                            </groupSet>
                            <attachment>
                                <attachmentId>eni-attach-0123456789abcdef0</attachmentId>
                                <deviceIndex>0</deviceIndex>
                                <networkCardIndex>0</networkCardIndex>
                                <status>attached</status>
                                <attachTime>2026-03-01T08:30:00.000Z</attachTime>
                                <deleteOnTermination>true</deleteOnTermination>
                            </attachment>
                            <association>
                                <publicIp>203.0.{high}.{low}</publicIp>
                                <publicDnsName>ec2-203-0-{high}-{low}.eu-west-3.compute.amazonaws.com</publicDnsName>
                                <ipOwnerId>amazon</ipOwnerId>
                            </association>
                            <privateIpAddressesSet>
                                <item>
                                    <privateIpAddress>10.0.{high}.{low}</privateIpAddress>
                                    <privateDnsName>ip-10-0-{high}-{low}.eu-west-3.compute.internal</privateDnsName>
                                    <primary>true</primary>
                                    <association>
                                        <publicIp>203.0.{high}.{low}</publicIp>
                                        <ipOwnerId>amazon</ipOwnerId>
                                    </association>
                                </item>
                            </privateIpAddressesSet>
                            <ipv6AddressesSet>
                                <item>
                                    <ipv6Address>2001:db8::{n:x}</ipv6Address>
                                    <isPrimaryIpv6>false</isPrimaryIpv6>
                                </item>
                            </ipv6AddressesSet>
                            <interfaceType>interface</interfaceType>
                            <operator>
                                <managed>false</managed>
                            </operator>
                        </item>
                    </networkInterfaceSet>
                    <ebsOptimized>false</ebsOptimized>
                    <enaSupport>true</enaSupport>
                    <cpuOptions>
                        <coreCount>1</coreCount>
                        <threadsPerCore>2</threadsPerCore>
                    </cpuOptions>
                    <capacityReservationSpecification>
                        <capacityReservationPreference>open</capacityReservationPreference>
                    </capacityReservationSpecification>
                    <hibernationOptions>
                        <configured>false</configured>
                    </hibernationOptions>
                    <metadataOptions>
                        <state>applied</state>
                        <httpTokens>required</httpTokens>
                        <httpPutResponseHopLimit>2</httpPutResponseHopLimit>
                        <httpEndpoint>enabled</httpEndpoint>
                        <httpProtocolIpv6>disabled</httpProtocolIpv6>
                        <instanceMetadataTags>disabled</instanceMetadataTags>
                    </metadataOptions>
                    <enclaveOptions>
                        <enabled>false</enabled>
                    </enclaveOptions>
                    <platformDetails>Linux/UNIX</platformDetails>
                    <usageOperation>RunInstances</usageOperation>
                    <usageOperationUpdateTime>2026-03-01T08:30:00.000Z</usageOperationUpdateTime>
                    <privateDnsNameOptions>
                        <hostnameType>ip-name</hostnameType>
                        <enableResourceNameDnsARecord>false</enableResourceNameDnsARecord>
                        <enableResourceNameDnsAAAARecord>false</enableResourceNameDnsAAAARecord>
                    </privateDnsNameOptions>
                    <maintenanceOptions>
                        <autoRecovery>default</autoRecovery>
                    </maintenanceOptions>
                    <currentInstanceBootMode>legacy-bios</currentInstanceBootMode>
                </item>"""


def instance(number: int) -> str:
    """One item of an instancesSet."""
    return INSTANCE.format(n=number, high=number // 256 % 256, low=number % 256)


def described(*instances: str, next_token: str = "", indented: bool = True) -> bytes:
    """A DescribeInstances answer with each instance in a reservation of its own."""
    reservations = "".join(
        f"""
        <item>
            <reservationId>r-0123456789abcdef0</reservationId>
            <ownerId>123456789012</ownerId>
            <groupSet/>
            <instancesSet>{text}
            </instancesSet>
        </item>"""
        for text in instances
    )
    token = f"\n    <nextToken>{next_token}</nextToken>" if next_token else ""
    text = f"""{HEAD}<DescribeInstancesResponse xmlns="{NAMESPACE}">
    <requestId>8f7724cf-496f-496e-8fe3-example</requestId>
    <reservationSet>{reservations}
    </reservationSet>{token}
</DescribeInstancesResponse>
"""
    return (text if indented else "".join(line.strip() for line in text.splitlines())).encode()


def run(text: str) -> bytes:
    """A RunInstances answer with one instance."""
    return f"""{HEAD}<RunInstancesResponse xmlns="{NAMESPACE}">
    <requestId>59dbff89-35bd-4eac-99ed-be587example</requestId>
    <reservationId>r-0123456789abcdef0</reservationId>
    <ownerId>123456789012</ownerId>
    <groupSet/>
    <instancesSet>{text}
    </instancesSet>
</RunInstancesResponse>
""".encode()


def image(root: str = "/dev/xvda") -> bytes:
    """A DescribeImages answer with one image whose volumes are /dev/xvda, of 8 GiB, and a smaller one before it."""
    volume = "<item><deviceName>{}</deviceName><ebs><volumeSize>{}</volumeSize></ebs></item>"
    volumes = volume.format("/dev/xvdb", 2) + volume.format("/dev/xvda", 8)
    return f"""{HEAD}<DescribeImagesResponse xmlns="{NAMESPACE}">
    <requestId>59dbff89-35bd-4eac-99ed-be587example</requestId>
    <imagesSet><item>
        <imageId>ami-0123456789abcdef0</imageId>
        <rootDeviceName>{root}</rootDeviceName>
        <blockDeviceMapping>{volumes}</blockDeviceMapping>
    </item></imagesSet>
</DescribeImagesResponse>
""".encode()


def failed(code: str, message: str = "EC2's own words.") -> bytes:
    """An error answer."""
    return f"""{HEAD}<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
<RequestID>0df2b0a5-example</RequestID></Response>""".encode()
